//! The cache in paused time, over a source that does as it is told.

use super::*;
use actors::ports::PortError;
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};
use support::log::Log;
use tokio::sync::Notify;
use tokio::time::advance;

const LIFE: Duration = Duration::from_secs(300);
const LIMIT: Duration = Duration::from_secs(5);

#[derive(Clone, Copy, PartialEq)]
enum Mood {
    /// A new token each time.
    New,
    /// The last one again.
    Same,
    Away,
    Hung,
    /// There is no SPIRE here.
    Nobody,
}

#[derive(Clone)]
struct Agent(Arc<Script>);

struct Script {
    mood: Mutex<Mood>,
    asked: AtomicU32,
    issued: AtomicU32,
    was_asked: Notify,
}

impl Agent {
    fn cached(mood: Mood) -> (Agent, Cached<Agent>) {
        let (asked, issued) = (AtomicU32::new(0), AtomicU32::new(0));
        let agent =
            Agent(Arc::new(Script { mood: Mutex::new(mood), asked, issued, was_asked: Notify::new() }));
        (agent.clone(), Cached::new(agent, LIMIT))
    }

    fn is(&self, mood: Mood) {
        *self.0.mood.lock().unwrap() = mood;
    }

    fn asked(&self) -> u32 {
        self.0.asked.load(Ordering::SeqCst)
    }
}

impl Source for Agent {
    async fn fetch(&self) -> Result<Option<Svid>, IdentityError> {
        self.0.asked.fetch_add(1, Ordering::SeqCst);
        self.0.was_asked.notify_one();
        let mood = *self.0.mood.lock().unwrap();
        let number = match mood {
            Mood::New => self.0.issued.fetch_add(1, Ordering::SeqCst) + 1,
            Mood::Same => self.0.issued.load(Ordering::SeqCst),
            Mood::Away => {
                let (socket, problem) = ("/s".to_owned(), "refused".to_owned());
                return Err(IdentityError::Unreachable { socket, problem });
            }
            Mood::Hung => std::future::pending().await,
            Mood::Nobody => return Ok(None),
        };
        let spiffe_id = "spiffe://shasta/us".to_owned();
        Ok(Some(Svid { token: Token::new(format!("t{number}")), spiffe_id, life: LIFE }))
    }

    fn socket(&self) -> &Path {
        Path::new("/s")
    }
}

/// The number of the token.
async fn token(cached: &Cached<Agent>, renew: bool) -> String {
    cached.token(renew).await.unwrap().unwrap().reveal().to_owned()
}

async fn kind(cached: &Cached<Agent>, renew: bool) -> &'static str {
    cached.token(renew).await.unwrap_err().kind()
}

/// Until the renewal that was begun beside a call has ended.
async fn renewed(cached: &Cached<Agent>, agent: &Agent) {
    agent.0.was_asked.notified().await;
    drop(cached.shared.turn.lock().await);
}

#[tokio::test(start_paused = true)]
async fn a_young_token_is_handed_out_without_asking() {
    let (agent, cached) = Agent::cached(Mood::New);
    assert_eq!(token(&cached, false).await, "t1");
    advance(LIFE / 2 - Duration::from_secs(1)).await;
    agent.is(Mood::Away);
    assert_eq!(token(&cached, false).await, "t1");
    assert_eq!(agent.asked(), 1);
}

#[tokio::test(start_paused = true)]
async fn an_ageing_token_is_handed_out_at_once_and_renewed_beside() {
    let (agent, cached) = Agent::cached(Mood::New);
    token(&cached, false).await;
    agent.0.was_asked.notified().await;
    advance(LIFE / 2).await;
    let before = Instant::now();
    assert_eq!(token(&cached, false).await, "t1");
    assert_eq!(before, Instant::now());
    renewed(&cached, &agent).await;
    assert_eq!(token(&cached, false).await, "t2");
    assert_eq!(agent.asked(), 2);
}

#[tokio::test(start_paused = true)]
async fn an_ageing_token_is_renewed_by_one_at_a_time_and_handed_out_while_the_agent_hangs() {
    let (agent, cached) = Agent::cached(Mood::New);
    token(&cached, false).await;
    agent.0.was_asked.notified().await;
    advance(LIFE / 2).await;
    agent.is(Mood::Hung);
    for _ in 0..5 {
        assert_eq!(token(&cached, false).await, "t1");
    }
    renewed(&cached, &agent).await;
    assert_eq!(agent.asked(), 2);
    agent.is(Mood::New);
    assert_eq!(token(&cached, false).await, "t1");
    renewed(&cached, &agent).await;
    assert_eq!(token(&cached, false).await, "t2");
}

#[tokio::test(start_paused = true)]
async fn the_last_token_is_used_while_the_agent_is_away_until_it_ends_and_a_new_one_when_it_is_back() {
    let (agent, cached) = Agent::cached(Mood::New);
    token(&cached, false).await;
    agent.0.was_asked.notified().await;
    agent.is(Mood::Away);
    advance(LIFE / 2).await;
    for _ in 0..3 {
        assert_eq!(token(&cached, false).await, "t1");
        renewed(&cached, &agent).await;
    }
    advance(LIFE / 2).await;
    assert_eq!(kind(&cached, false).await, "spire_unreachable");
    agent.is(Mood::New);
    assert_eq!(token(&cached, false).await, "t2");
}

#[tokio::test(start_paused = true)]
async fn a_hung_agent_costs_a_call_no_more_than_the_deadline() {
    let (agent, cached) = Agent::cached(Mood::Hung);
    let before = Instant::now();
    // Both wait, the second one for its turn.
    let (first, second) = tokio::join!(kind(&cached, false), kind(&cached, false));
    assert_eq!((first, second), ("spire_timeout", "spire_timeout"));
    assert!(before.elapsed() < 2 * LIMIT);
    agent.is(Mood::New);
    assert_eq!(token(&cached, false).await, "t1");
}

#[tokio::test(start_paused = true)]
async fn calls_at_the_same_time_ask_once() {
    let (agent, cached) = Agent::cached(Mood::New);
    let (first, second) = tokio::join!(token(&cached, false), token(&cached, false));
    assert_eq!((first.as_str(), second.as_str(), agent.asked()), ("t1", "t1", 1));
}

#[tokio::test(start_paused = true)]
async fn a_refused_token_is_dropped_and_asked_for_once_more() {
    let (agent, cached) = Agent::cached(Mood::New);
    token(&cached, false).await;
    assert_eq!(token(&cached, true).await, "t2");
    assert_eq!(token(&cached, false).await, "t2");
    assert_eq!(agent.asked(), 2);
    agent.is(Mood::Away);
    assert_eq!(kind(&cached, true).await, "spire_unreachable");
    assert_eq!(kind(&cached, false).await, "spire_unreachable", "it was refused: it is not handed out again");
}

#[tokio::test(start_paused = true)]
async fn a_refused_token_that_spire_issues_again_is_an_error_and_tried_again_the_next_time() {
    let (agent, cached) = Agent::cached(Mood::New);
    token(&cached, false).await;
    agent.is(Mood::Same);
    assert_eq!(kind(&cached, true).await, "spire_refused");
    assert_eq!(kind(&cached, true).await, "spire_refused", "none other was handed out since");
    assert_eq!(token(&cached, false).await, "t1");
    agent.is(Mood::New);
    assert_eq!(token(&cached, true).await, "t2");
}

#[tokio::test(start_paused = true)]
async fn a_token_that_was_renewed_in_between_is_not_the_one_that_was_refused() {
    let (agent, cached) = Agent::cached(Mood::New);
    token(&cached, false).await;
    agent.0.was_asked.notified().await;
    advance(LIFE / 2).await;
    assert_eq!(token(&cached, false).await, "t1");
    renewed(&cached, &agent).await;
    assert_eq!(token(&cached, true).await, "t2");
    assert_eq!(agent.asked(), 2);
}

#[tokio::test(start_paused = true)]
async fn where_there_is_no_spire_there_is_no_token_until_there_is_one() {
    let (agent, cached) = Agent::cached(Mood::Nobody);
    assert_eq!(cached.token(false).await.unwrap(), None);
    assert_eq!(cached.token(true).await.unwrap(), None);
    agent.is(Mood::New);
    assert_eq!(token(&cached, false).await, "t1");
}

#[tokio::test(start_paused = true)]
async fn that_a_token_is_not_renewed_is_told_once_and_once_that_it_is_again() {
    let log = Log::of_this_thread();
    let (agent, cached) = Agent::cached(Mood::New);
    token(&cached, false).await;
    agent.0.was_asked.notified().await;
    advance(LIFE / 2).await;
    for mood in [Mood::Away, Mood::Away, Mood::New] {
        agent.is(mood);
        token(&cached, false).await;
        renewed(&cached, &agent).await;
    }
    let log = log.text();
    let [not, again] = &log.lines().collect::<Vec<_>>()[..] else { panic!("{log}") };
    assert!(not.contains("identity_not_renewed") && not.contains("spire_unreachable"), "{not}");
    assert!(again.contains("identity_renewed"), "{again}");
}
