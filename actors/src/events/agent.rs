//! The passes, and the agent's own life.

super::events! {
    PASS_SUMMARY "pass_summary" [Info, Warn]
        (scan_id result live added remade removed failed pending second_look held unclear findings unknown save
         images_listed candidates manifests_fetched apply_ms duration_ms)
        "the one line of every pass; a warning if a source did not answer or something failed"
        => "alarm on a `result` that stays `not_converged`", "operations.md#is-the-node-healthy";
    TAGS_CHANGED "tags_changed" [Info]
        ()
        "IMS tags have changed: a pass follows"
        => "nothing";
    RESYNC "resync" [Info]
        (reason)
        "a pass was requested"
        => "nothing";
    CONFIRMATION "confirmation" [Info]
        (code)
        "an operator confirms removals; `confirmed` or `confirmation_unmatched` follows"
        => "nothing";
    CONFIRMATION_DROPPED "confirmation_dropped" [Warn]
        (scan_id code)
        "a source did not answer, so nobody can say whether this code is that of what waits: it does not count"
        => "confirm again when `source_unknown` has cleared", "operations.md#a-removal-is-held";
    CONFIRMED "confirmed" [Info]
        (scan_id code)
        "removals were confirmed by an operator"
        => "nothing";
    CONFIRMATION_UNMATCHED "confirmation_unmatched" [Warn]
        (scan_id code held_codes)
        "no removal of this code waits; `held_codes` are those of what does"
        => "look at `sbps-marshal plan`, and confirm the code it shows", "operations.md#a-removal-is-held";
    HISTORY_LOST "history_lost" [Warn]
        (detail window_s)
        "what was remembered is lost: removals need a confirmation for `window_s` seconds"
        => "nothing, or confirm", "operations.md#what-is-remembered";
    HISTORY_NOT_STORED "history_not_stored" [Warn]
        (reason detail)
        "what is remembered cannot be stored: a restart lets nothing go for the time of `guard.window`"
        => "mend `state_dir` before a restart", "operations.md#what-is-remembered";
    STARTED "started" [Info]
        (version iqn bucket simulated)
        "the agent runs"
        => "nothing";
    STOPPED "stopped" [Info]
        ()
        "the agent has stopped"
        => "nothing";
    RELOADED "reloaded" [Info]
        ()
        "the configuration has changed: the actors start anew"
        => "nothing";
    RELOAD_REFUSED "reload_refused" [Error]
        (reason detail)
        "the new configuration is not used; the old one stays in force"
        => "mend it, then SIGHUP", "operations.md#start-reload-stop";
    IDENTITY_WAY "identity_way" [Info]
        (way was spiffe_id)
        "where tokens for IMS come from now: `workload-api`, `helper`, or `none`"
        => "nothing; with `none`, see whether IMS wants tokens";
    IDENTITY_NOT_RENEWED "identity_not_renewed" [Warn]
        (reason detail)
        "SPIRE does not renew the token; the last one is used as long as it is valid"
        => "`detail` names the remedy", "operations.md#sbpsmarshaltokenends";
    IDENTITY_RENEWED "identity_renewed" [Info]
        ()
        "SPIRE has renewed the token again"
        => "nothing";
    CONFIGURATION_NOTE "configuration_note" [Warn]
        ()
        "a setting is accepted but not recommended; see the message"
        => "change it", "operations.md#start-reload-stop";
    CA_UNREADABLE "ca_unreadable" [Warn]
        (detail)
        "a CA certificate of the system cannot be read"
        => "mend the file that `detail` names", "operations.md#certificates";
    CA_MISSING "ca_missing" [Warn]
        ()
        "no CA is trusted, so https will fail"
        => "install ca-certificates, or set `ca_bundle`", "operations.md#certificates";
    CA_RENEWED "ca_renewed" [Info]
        (service)
        "the CA files have changed on disk: new connections trust what is there now"
        => "nothing";
    CA_NOT_RENEWED "ca_not_renewed" [Warn]
        (service detail)
        "the CA files have changed on disk and cannot be used; what they were stays trusted"
        => "`detail` names the file and the remedy", "operations.md#certificates";
    AGENT_FAILED "agent_failed" [Error]
        (reason detail)
        "the agent ends: it cannot go on; systemd starts the next one"
        => "read `detail`", "operations.md#the-agent-ends";
    ACTOR_GONE "actor_gone" [Error]
        (detail)
        "a part of the agent has died: it ends, and systemd starts the next one"
        => "report it", "operations.md#the-agent-ends";
    SESSION_NOT_ENDED "session_not_ended" [Warn]
        ()
        "the session with targetclid could not be ended in time"
        => "see targetclid", "operations.md#a-change-failed";
    LOCK_NOT_RELEASED "lock_not_released" [Warn]
        (detail)
        "the lock of the instance could not be released: the end of the process does it"
        => "nothing", "operations.md#start-reload-stop";
    LEVEL_NOT_SET "level_not_set" [Warn]
        (detail)
        "the log keeps its level"
        => "mend `log.level`", "operations.md#logs";
    CONTROL_NOT_SERVED "control_not_served" [Error]
        (detail)
        "the control socket, the port of http.listen, or the file of changes cannot be had: operators see less, nodes are served"
        => "see `detail`, then `systemctl restart sbps-marshal`", "operations.md#look-and-lead";
    SYSTEMD_NOT_TOLD "systemd_not_told" [Warn]
        (detail)
        "a notification to systemd failed"
        => "see whether the unit is of `Type=notify-reload` or `notify`", "operations.md#the-agent-ends";
}
