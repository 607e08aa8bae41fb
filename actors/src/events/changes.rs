//! What changes on the node.

super::events! {
    LUN_ADDED "lun_added" [Info]
        (action result scan_id image_id kind lun wwn iqn file size_bytes duration_ms)
        "a LUN was created, and configfs shows it"
        => "nothing; booted nodes see it after a rescan", "operations.md#an-image-is-not-there";
    LUN_REMADE "lun_remade" [Warn]
        (action result scan_id image_id kind lun wwn iqn file size_bytes duration_ms)
        "a LUN whose file belonged to a mount that is gone was made anew under its number"
        => "find out why s3fs ended", "operations.md#s3fs-died";
    LUN_REMOVED "lun_removed" [Info]
        (action result scan_id image_id reason lun wwn iqn file duration_ms)
        "a LUN and its backstore were removed; `reason` is the evidence"
        => "nothing";
    NUMBER_DISPLACED "number_displaced" [Warn]
        (scan_id image_id lun own_lun wwn iqn)
        "its own number is in use or saved, so it got the next free one; other workers may use a different number"
        => "mind it if nodes address LUNs by number", "operations.md#numbers-differ-between-workers";
    NUMBER_REUSED "number_reused" [Error]
        (scan_id image_id lun was wwn iqn)
        "no number was free, so it got the one that has been in quarantine for the longest; nodes that used the image \
         whose `was` is may find this one in its place"
        => "make the range of lio.first_lun to lio.last_lun larger", "operations.md#a-number-was-reused";
    CHANGE_FAILED "change_failed" [Error]
        (action result scan_id image_id lun wwn iqn file reason detail)
        "a change failed; the next pass retries it"
        => "read `detail`", "operations.md#a-change-failed";
    BACKSTORE_LEFT "backstore_left" [Warn]
        (backstore detail)
        "a backstore without a LUN could not be deleted again"
        => "nothing; the next pass uses or removes it", "operations.md#a-change-failed";
    SAVE_SET_ASIDE "save_set_aside" [Error]
        (file)
        "saveconfig.json was torn: it is kept under this name, and a new one is written"
        => "look into the old one", "operations.md#saveconfigjson";
    CREATED_DIRECTLY "created_directly" [Warn]
        (step missing)
        "targetclid makes no backstore while `missing`, the file of another one, is gone: it was written into configfs, and so \
         is what else this pass changes"
        => "restore that file, or let the removal of its LUN go", "operations.md#an-image-is-not-there";
    SETTLED "settled" [Info]
        (what)
        "a change that an agent was killed in the middle of was taken back, or finished where a node could see it"
        => "nothing", "operations.md#a-faster-engine";
    NOT_SETTLED "not_settled" [Warn]
        (detail)
        "a change that an agent was killed in the middle of could be neither taken back nor finished; until it is, nothing is \
         written into configfs"
        => "read `detail`", "operations.md#a-faster-engine";
    STEP_TRIED_AGAIN "step_tried_again" [Debug]
        (step)
        "targetclid replied, but configfs does not show the effect: retried once after a refresh"
        => "nothing";
    TREE_REFRESHED "tree_refreshed" [Debug]
        ()
        "somebody else, or the agent itself, may have changed the tree: targetclid has refreshed it"
        => "nothing";
    REFRESH_FAILED "refresh_failed" [Warn]
        (reason detail)
        "targetclid failed to refresh its tree"
        => "see targetclid", "operations.md#a-change-failed";
}
