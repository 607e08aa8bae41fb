//! The helper, and when it is run.

use super::*;
use std::time::Instant;
use support::log::Log;
use support::workload_api::DENIED;

#[tokio::test]
async fn where_we_are_denied_the_helper_is_run_as_csm_runs_it() {
    for answer in [DENIED, svids(&[(OF_OTHERS, "x")])] {
        let node = Node::new();
        let agent = node.agent(answer);
        node.printing_helper(&[svid(OF_OTHERS, 300, "x"), svid(PLAIN, 300, "h")]);
        let tokens = node.tokens("auto", LONG);
        assert_eq!(mark(&tokens, false).await, "h");
        let socket = node.path("agent.sock");
        let call =
            format!("api fetch jwt -output json -audience system-compute -socketPath {}", socket.display());
        assert_eq!(node.called(), [call]);
        // Once it is known, we do not let ourselves be denied each time.
        node.printing_helper(&[svid(PLAIN, 300, "i")]);
        assert_eq!(mark(&tokens, true).await, "i");
        assert_eq!(agent.requests().len(), 1);
        // Until it stops working.
        node.helper("exit 1");
        agent.answers(svids(&[(PLAIN, "a")]));
        assert_eq!(mark(&tokens, true).await, "a");
    }
}

#[tokio::test]
async fn the_way_is_told_once_and_again_when_it_changes_and_the_token_never() {
    let log = Log::of_this_thread();
    let node = Node::new();
    let tokens = node.tokens("auto", LONG);
    for _ in 0..2 {
        assert_eq!(tokens.token(false).await.unwrap(), None);
    }
    let agent = node.agent(svids(&[(PLAIN, "geheim1")]));
    mark(&tokens, false).await;
    agent.answers(svids(&[(PLAIN, "geheim2")]));
    mark(&tokens, true).await;
    agent.answers(DENIED);
    for token in ["geheim3", "geheim4"] {
        node.printing_helper(&[svid(PLAIN, 300, token)]);
        mark(&tokens, true).await;
    }
    let log = log.text();
    let ways: Vec<&str> = log.lines().filter(|line| line.contains("identity_way")).collect();
    let [none, ours, helper] = &ways[..] else { panic!("{ways:?}") };
    assert!(none.contains("way=\"none\"") && none.contains("no token is sent"), "{none}");
    assert!(ours.contains("way=\"workload-api\" was=\"none\"") && ours.contains(PLAIN), "{ours}");
    assert!(helper.contains("way=\"helper\" was=\"workload-api\""), "{helper}");
    assert!(!log.contains("geheim"), "{log}");
}

#[tokio::test]
async fn a_mode_that_is_set_is_the_only_way() {
    let node = Node::new();
    let agent = node.agent(DENIED);
    node.printing_helper(&[svid(PLAIN, 300, "h")]);
    assert_eq!(refusal(&node.tokens("workload-api", LONG), false).await.0, "spire_denied");
    assert_eq!(node.called(), [""; 0]);
    assert_eq!(mark(&node.tokens("helper", LONG), false).await, "h");
    assert_eq!(agent.requests().len(), 1);
}

#[tokio::test]
async fn a_helper_that_fails_is_told_by_what_it_said() {
    let node = Node::new();
    let helper = |script: &str| {
        node.helper(script);
        node.tokens("helper", LONG)
    };
    assert_eq!(refusal(&node.tokens("helper", LONG), false).await.0, "spire_helper");
    for (script, kind, said) in [
        (
            "echo 'code = PermissionDenied desc = no identity issued' >&2; exit 1",
            "spire_denied",
            "is a hard link to nothing any more",
        ),
        ("echo 'rpc error: code = Unavailable' >&2; exit 1", "spire_unreachable", "agent.sock"),
        (
            "printf 'bad\\033[2Jflag\\n' >&2; exit 2",
            "spire_helper",
            r"fails (exit status: 2): bad\u{1b}[2Jflag",
        ),
        ("kill -9 $$", "spire_helper", "signal: 9"),
        ("echo geheim", "spire_answer", "is not the JSON"),
        ("echo '[{\"svids\": [{\"svid\": \"geheim\"}]}]'", "spire_answer", "malformed jwt"),
        ("echo '[{\"bundles\": {}}]'", "spire_denied", "an empty list"),
        ("true", "spire_answer", "is not the JSON"),
    ] {
        let (got, text) = refusal(&helper(script), false).await;
        assert_eq!(got, kind, "{script}: {text}");
        assert!(text.contains(said) && !text.contains("geheim"), "{script}: {text}");
    }
}

#[tokio::test]
async fn a_helper_that_cannot_be_run_is_told() {
    let node = Node::new();
    write(&node.path("helper"), "no program");
    let (kind, text) = refusal(&node.tokens("helper", LONG), false).await;
    assert!(kind == "spire_helper" && text.contains("cannot be run"), "{text}");
}

#[tokio::test]
async fn a_helper_that_floods_is_stopped() {
    let node = Node::new();
    for stream in ["1", "2"] {
        node.helper(&format!("while :; do echo 0123456789012345678901234567890123456789; done >&{stream}"));
        let (kind, text) = refusal(&node.tokens("helper", LONG), false).await;
        assert!(kind == "spire_helper" && text.contains("more than 1048576 bytes"), "{text}");
    }
}

#[tokio::test]
async fn a_helper_that_hangs_is_killed_with_all_that_it_has_started() {
    let node = Node::new();
    let pids = node.path("pids");
    node.helper(&format!("sleep 3600 & echo $$ $! >{}; wait", pids.display()));
    // As long as it takes the script to come so far; then it is cut off.
    let mut limit = SHORT;
    let pids: Vec<String> = loop {
        assert_eq!(refusal(&node.tokens("helper", limit), false).await.0, "spire_timeout");
        let pids = std::fs::read_to_string(&pids).unwrap_or_default();
        if pids.split_whitespace().count() == 2 {
            break pids.split_whitespace().map(str::to_owned).collect();
        }
        limit *= 2;
        assert!(limit < LONG);
    };
    let runs = |pid: &String| {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        stat.contains("sleep") && !stat.contains(" Z ") || stat.contains("helper") && !stat.contains(" Z ")
    };
    let deadline = Instant::now() + LONG;
    while pids.iter().any(runs) {
        assert!(Instant::now() < deadline, "{pids:?} run");
        tokio::task::yield_now().await;
    }
}
