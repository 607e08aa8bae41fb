//! Our identity from a real SPIRE server and agent, on this host. `make test-spire` builds both and names their folder.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use actors::ports::{PortError, TokenPort};
use sbps_marshal::config::{Sources, load};
use sbps_marshal::identity::{Cached, Ways};
use std::process::Command;
use std::time::{Duration, Instant};
use support::configfs::Tree;
use support::spire::{self, AUDIENCE, HELPER, Spire};
use wiremock::{Mock, MockServer, ResponseTemplate, matchers::any};

const PLAIN: &str = "spiffe://shasta/ncn/workload/sbps-marshal";
const OF_NODE: &str = "spiffe://shasta/ncn/x3000c0s5b0n0/workload/sbps-marshal";

/// For whatever takes its time: entries reach the agent after five seconds.
const LONG: Duration = Duration::from_secs(120);

/// What the daemon has in `auto`.
fn tokens(spire: &Spire) -> Cached<Ways> {
    let flags = [
        format!("spire.agent_sock_path={}", spire.socket().display()),
        format!("spire.agent_path={}", spire.path(HELPER).display()),
    ];
    let flags = flags.iter().map(|flag| flag.parse().unwrap()).collect();
    let settings = load(&Sources { flags, ..Sources::default() }).unwrap().settings;
    Cached::new(Ways::new(settings.spire, LONG).with_xname(spire.path("xname")), LONG)
}

async fn token(tokens: &Cached<Ways>, renew: bool) -> Result<String, &'static str> {
    let token = tokens.token(renew).await.map_err(|error| error.kind())?;
    Ok(token.expect("there is a SPIRE").reveal().to_owned())
}

/// What the condition gives once it does; it is asked ten times a second.
async fn until<T>(what: &str, mut condition: impl AsyncFnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + LONG;
    loop {
        if let Some(value) = condition().await {
            return value;
        }
        assert!(Instant::now() < deadline, "{what}: not in time");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// As soon as there is one, which may be refused until then only in these ways.
async fn first_token(tokens: &Cached<Ways>, renew: bool, meanwhile: &[&str]) -> String {
    let next = async || match token(tokens, renew).await {
        Ok(token) => Some(token),
        Err(kind) => {
            assert!(meanwhile.contains(&kind), "{kind}");
            None
        }
    };
    until("a token", next).await
}

fn our_path() -> String {
    std::env::current_exe().unwrap().display().to_string()
}

#[tokio::test]
async fn spire_an_entry_for_our_path_that_is_added_while_we_run_gives_a_token_that_spire_has_signed() {
    let mut spire = Spire::start();
    let tokens = tokens(&spire);
    assert_eq!(token(&tokens, false).await, Err("spire_denied"), "there is no entry yet");
    spire.add_entry(PLAIN, &our_path());
    let first = first_token(&tokens, false, &["spire_denied"]).await;
    assert_eq!(spire.verified(&first), PLAIN);

    // The agent goes, and comes back.
    spire.stop_agent();
    assert_eq!(token(&tokens, false).await, Ok(first.clone()), "the last one is good");
    assert_eq!(token(&tokens, true).await, Err("spire_unreachable"));
    spire.start_agent();
    let second = first_token(&tokens, false, &["spire_unreachable", "spire_denied"]).await;
    assert_eq!(spire.verified(&second), PLAIN);
}

#[tokio::test]
async fn spire_a_token_of_a_key_that_was_rotated_in_is_what_a_renewal_gives() {
    let mut spire = Spire::start();
    let tokens = tokens(&spire);
    spire.add_entry(PLAIN, &our_path());
    let old = first_token(&tokens, false, &["spire_denied"]).await;
    spire.rotate_jwt_key();
    // The agent goes on handing out the old one for a while, and the first renewal after that has the new key.
    let new = first_token(&tokens, true, &["spire_refused"]).await;
    assert_ne!(spire::key_of(&old), spire::key_of(&new));
    assert_eq!(spire.verified(&new), PLAIN);
}

#[tokio::test]
async fn spire_the_helper_that_csm_registers_gets_the_token_and_of_two_names_that_of_the_node() {
    let spire = Spire::start();
    let tokens = tokens(&spire);
    let helper = spire.path(HELPER).display().to_string();
    assert_eq!(token(&tokens, false).await, Err("spire_denied"), "neither we nor the helper have an entry");
    spire.add_entry(PLAIN, &helper);
    let first = first_token(&tokens, false, &["spire_denied"]).await;
    assert_eq!(spire.verified(&first), PLAIN);

    std::fs::write(spire.path("xname"), "x3000c0s5b0n0\n").unwrap();
    spire.add_entry(OF_NODE, &helper);
    let is_of_the_node = async || {
        // SPIRE may have nothing else yet than the token that we say was refused; then it is as good as before.
        let renewed = token(&tokens, true).await;
        assert!(matches!(renewed, Ok(_) | Err("spire_refused")), "{renewed:?}");
        (spire.verified(&token(&tokens, false).await.unwrap()) == OF_NODE).then_some(())
    };
    until("the name of the node", is_of_the_node).await;
}

#[tokio::test]
async fn spire_a_token_is_for_our_audience_alone() {
    let spire = Spire::start();
    let tokens = tokens(&spire);
    spire.add_entry(PLAIN, &our_path());
    let token = first_token(&tokens, false, &["spire_denied"]).await;
    assert_eq!(AUDIENCE, "system-compute");
    assert!(spire.refuses(&token, "another"));
}

#[tokio::test]
async fn spire_the_program_itself_sends_such_a_token_to_ims() {
    let spire = Spire::start();
    let program = env!("CARGO_BIN_EXE_sbps-marshal");
    let ims = MockServer::start().await;
    Mock::given(any()).respond_with(ResponseTemplate::new(200).set_body_string("[]")).mount(&ims).await;
    // What LIO shows comes first: without it nobody is asked.
    Tree::recorded().grow(&spire.path("configfs"));
    let path = |name: &str| spire.path(name).display().to_string();
    let config = format!(
        "runtime_dir = {:?}\nstate_dir = {:?}\nscan.tag_frequency = 1\nims.gateway = {:?}\n\
         s3.host = \"127.0.0.1:1\"\nlio.configfs = {:?}\nlio.save_file = {:?}\nspire.agent_sock_path = {:?}\n",
        path("run"),
        path("state"),
        ims.uri(),
        path("configfs"),
        path("saveconfig.json"),
        path("agent.sock"),
    );
    std::fs::write(spire.path("config.toml"), config).unwrap();
    let mut run = Command::new(program);
    let _agent = spire.run(run.args(["run", "--config", &path("config.toml")]), "program");
    until("a refusal in the log", async || spire.log("program").contains("spire_denied").then_some(())).await;
    spire.add_entry(PLAIN, program);
    let first_request = async || ims.received_requests().await.unwrap().into_iter().next();
    let request = until("a request to IMS", first_request).await;
    let header = request.headers["authorization"].to_str().unwrap();
    let token = header.strip_prefix("Bearer ").unwrap();
    assert_eq!(spire.verified(token), PLAIN);
    let log = spire.log("program");
    let ways: Vec<&str> = log.lines().filter(|line| line.contains("identity_way")).collect();
    assert!(matches!(&ways[..], [way] if way.contains("workload-api") && way.contains(PLAIN)), "{log}");
    assert!(!log.contains(token));
}
