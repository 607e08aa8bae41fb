//! The Workload API, asked by ourselves.

use super::*;
use support::workload_api::DENIED;

#[tokio::test]
async fn the_workload_api_is_asked_as_it_wants_to_be_asked() {
    let node = Node::new();
    let agent = node.agent(svids(&[(PLAIN, "a")]));
    assert_eq!(mark(&node.tokens("auto", LONG), false).await, "a");
    let [request] = &agent.requests()[..] else { panic!("one request") };
    assert_eq!(
        (request.path.as_str(), request.workload_header.as_str()),
        ("/SpiffeWorkloadAPI/FetchJWTSVID", "true")
    );
    assert!(request.message.ends_with(b"\x0a\x0esystem-compute"), "{request:?}");
}

#[tokio::test]
async fn of_many_identities_ours_is_taken_and_the_one_of_the_node_if_it_is_there() {
    let node = Node::new();
    let agent = node.agent(svids(&[(OF_OTHERS, "a"), (OF_NODE, "b"), (PLAIN, "c")]));
    assert_eq!(mark(&node.tokens("auto", LONG), false).await, "c");
    write(&node.path("xname"), "x3000c0s5b0n0\n");
    assert_eq!(mark(&node.tokens("auto", LONG), false).await, "b");
    agent.answers(svids(&[(OF_NODE, "d")]));
    assert_eq!(mark(&node.tokens("auto", LONG), false).await, "d");
}

#[tokio::test]
async fn an_identity_of_others_is_not_ours_and_the_error_names_both_and_the_remedy() {
    let node = Node::new();
    let _agent = node.agent(svids(&[(OF_OTHERS, "geheim")]));
    let (kind, text) = refusal(&node.tokens("auto", LONG), false).await;
    assert_eq!(kind, "spire_foreign");
    for part in [OF_OTHERS, "/ncn/workload/sbps-marshal", "spire-server entry create", "unix:path:/"] {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert!(!text.contains("geheim"));
}

#[tokio::test]
async fn an_entry_that_is_added_while_we_run_is_used_and_until_then_the_error_says_how() {
    let node = Node::new();
    let agent = node.agent(DENIED);
    let tokens = node.tokens("auto", LONG);
    let (kind, text) = refusal(&tokens, false).await;
    let us = std::env::current_exe().unwrap();
    assert_eq!(kind, "spire_denied");
    assert!(text.contains(&format!("-selector unix:path:{}", us.display())), "{text}");
    agent.answers(Answer::Svids(Vec::new()));
    assert_eq!(refusal(&tokens, false).await.0, "spire_denied");
    agent.answers(svids(&[(PLAIN, "a")]));
    assert_eq!(mark(&tokens, false).await, "a");
}

#[tokio::test]
async fn an_agent_that_is_stopped_restarted_or_has_lost_its_socket_is_found_again() {
    let node = Node::new();
    let tokens = node.tokens("workload-api", LONG);
    assert_eq!(refusal(&tokens, false).await.0, "spire_unreachable", "it was never there");
    let agent = node.agent(svids(&[(PLAIN, "a")]));
    assert_eq!(mark(&tokens, false).await, "a");
    drop(agent);
    assert_eq!(mark(&tokens, false).await, "a", "the last one is good");
    let (kind, text) = refusal(&tokens, true).await;
    assert_eq!(kind, "spire_unreachable");
    assert!(text.contains("agent.sock") && text.contains("spire-agent runs"), "{text}");
    let agent = node.agent(svids(&[(PLAIN, "b")]));
    assert_eq!(mark(&tokens, false).await, "b");
    agent.remove();
    assert_eq!(mark(&tokens, false).await, "b");
    let (kind, text) = refusal(&tokens, true).await;
    assert!(kind == "spire_unreachable" && text.contains("No such file"), "{text}");
}

#[tokio::test]
async fn a_token_that_ends_is_asked_for_anew() {
    let node = Node::new();
    let agent = node.agent(Answer::Svids(vec![svid(PLAIN, 0, "a")]));
    let tokens = node.tokens("auto", LONG);
    assert_eq!(mark(&tokens, false).await, "a", "SPIRE has issued it, so it may be our clock");
    agent.answers(svids(&[(PLAIN, "b")]));
    assert_eq!(mark(&tokens, false).await, "b");
    assert_eq!(mark(&tokens, false).await, "b");
    assert_eq!(agent.requests().len(), 2);
}

#[tokio::test]
async fn an_agent_that_hangs_or_talks_nonsense_is_an_error_in_time() {
    let node = Node::new();
    let agent = node.agent(Answer::Silence);
    let (kind, text) = refusal(&node.tokens("auto", SHORT), false).await;
    assert!(kind == "spire_timeout" && text.contains("within 0.3 s"), "{kind}: {text}");
    agent.answers(Answer::Garbage);
    assert_eq!(refusal(&node.tokens("auto", LONG), false).await.0, "spire_unreachable");
    agent.answers(Answer::Svids(vec![(PLAIN.to_owned(), "geheim".to_owned())]));
    let (kind, text) = refusal(&node.tokens("auto", LONG), false).await;
    assert!(kind == "spire_answer" && !text.contains("geheim"), "{kind}: {text}");
    agent.answers(Answer::Status(14, "the server is away"));
    let (kind, text) = refusal(&node.tokens("auto", LONG), false).await;
    assert!(kind == "spire_unreachable" && text.contains("the server is away"), "{kind}: {text}");
}

#[tokio::test]
async fn a_program_that_listens_and_says_nothing_at_all_is_an_error_in_time() {
    let node = Node::new();
    let _listener = std::os::unix::net::UnixListener::bind(node.path("agent.sock")).unwrap();
    assert_eq!(refusal(&node.tokens("auto", SHORT), false).await.0, "spire_timeout");
}

#[tokio::test]
async fn without_socket_and_helper_there_is_no_token_until_there_was_one() {
    let node = Node::new();
    let tokens = node.tokens("auto", LONG);
    assert_eq!(tokens.token(false).await.unwrap(), None);
    assert_eq!(tokens.token(true).await.unwrap(), None);
    let agent = node.agent(svids(&[(PLAIN, "a")]));
    assert_eq!(mark(&tokens, false).await, "a");
    agent.remove();
    assert_eq!(refusal(&tokens, true).await.0, "spire_unreachable", "it is away, not absent");
}
