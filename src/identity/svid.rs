//! What a JWT-SVID says, and which of them is ours.

use actors::ports::Token;
use base64ct::{Base64UrlUnpadded, Encoding};
use serde::Deserialize;
use spiffe::JwtSvid;
use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The most identities of others that an error names.
const NAMED: usize = 5;

/// A token, and how long it is good.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Svid {
    /// The token.
    pub token: Token,
    /// Whose it is.
    pub spiffe_id: String,
    /// From now on; nothing if it has ended by this node's clock, which may be wrong.
    pub life: Duration,
}

/// The names that are ours (facts 6.1): `/ncn/workload/sbps-marshal` of any trust domain, and with the node's xname in it where the
/// site validates xnames.
#[derive(Clone, Debug)]
pub struct Accepted {
    /// The best one first.
    paths: Vec<String>,
}

impl Accepted {
    /// For a node with this xname, if it has one: the content of /etc/cray/xname.
    pub fn new(xname: Option<&str>) -> Self {
        let xname = xname.map(str::trim).filter(|name| is_xname(name));
        let with_xname = xname.map(|name| format!("/ncn/{name}/workload/sbps-marshal"));
        let paths = with_xname.into_iter().chain(["/ncn/workload/sbps-marshal".to_owned()]).collect();
        Accepted { paths }
    }

    /// Of these, the one that is ours. Where both of our names are issued, the one with the xname: a site that
    /// validates xnames takes no other.
    pub fn choose<'a>(&self, svids: &'a [JwtSvid]) -> Option<&'a JwtSvid> {
        let of_path = |path: &String| svids.iter().find(|svid| svid.spiffe_id().path() == path);
        self.paths.iter().find_map(of_path)
    }
}

impl fmt::Display for Accepted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<String> = self.paths.iter().map(|path| format!("spiffe://<domain>{path}")).collect();
        f.write_str(&names.join(" or "))
    }
}

fn is_xname(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric())
}

/// The names of these, for an error.
pub fn names(svids: &[JwtSvid]) -> String {
    let names: Vec<String> = svids.iter().take(NAMED).map(|svid| svid.spiffe_id().to_string()).collect();
    let more = if svids.len() > NAMED { ", ..." } else { "" };
    format!("{}{more}", names.join(", "))
}

/// Reads tokens as the helper prints them. An error says what is wrong, and never shows the token.
pub fn read(token: &str) -> Result<JwtSvid, String> {
    // Anything else would end the header of the request, or start another one.
    if !token.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err("it is not one word of ASCII".to_owned());
    }
    JwtSvid::parse_insecure(token).map_err(|error| error.to_string())
}

impl Svid {
    /// Of a token that was got just now, if it is for this audience. An error says what is wrong.
    pub fn new(svid: &JwtSvid, audience: &str, now: SystemTime) -> Result<Self, String> {
        if !svid.audience().iter().any(|one| one == audience) {
            return Err(format!("its audience is {:?} and not {audience:?}", svid.audience()));
        }
        let seconds = |time: i64| u64::try_from(time).ok();
        let now = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let life = life(issued_at(svid.token()).and_then(seconds), seconds(svid.claims().exp()), now);
        let spiffe_id = svid.spiffe_id().to_string();
        Ok(Svid { token: Token::new(svid.token()), spiffe_id, life: Duration::from_secs(life) })
    }
}

/// How long a token is good from now on; all in seconds, the times since 1970. A clock that does not show a time within
/// the token's life is wrong (some nodes' are, for minutes after an upgrade), and SPIRE does not hand out what has
/// ended: then it is as old as it gets from here.
fn life(issued: Option<u64>, expires: Option<u64>, now: u64) -> u64 {
    let left = expires.unwrap_or_default().saturating_sub(now);
    match (issued, expires) {
        (Some(issued), Some(expires)) if !(issued..expires).contains(&now) => expires.saturating_sub(issued),
        _ => left,
    }
}

/// Its `iat`, which not every server sets.
fn issued_at(token: &str) -> Option<i64> {
    #[derive(Deserialize)]
    struct Claims {
        iat: Option<i64>,
    }
    let claims = Base64UrlUnpadded::decode_vec(token.split('.').nth(1)?).ok()?;
    serde_json::from_slice::<Claims>(&claims).ok()?.iat
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use serde_json::json;

    const NOW: u64 = 1_790_000_000;

    pub fn jwt(path: &str, claims: &serde_json::Value) -> String {
        let part = |value: serde_json::Value| Base64UrlUnpadded::encode_string(value.to_string().as_bytes());
        let mut all = json!({"sub": format!("spiffe://shasta{path}"), "aud": ["system-compute"]});
        all.as_object_mut().unwrap().extend(claims.as_object().unwrap().clone());
        format!("{}.{}.geheim", part(json!({"alg": "ES256", "kid": "k", "typ": "JWT"})), part(all))
    }

    fn svid(path: &str) -> JwtSvid {
        read(&jwt(path, &json!({"exp": NOW + 300, "iat": NOW}))).unwrap()
    }

    const PLAIN: &str = "/ncn/workload/sbps-marshal";
    const OF_NODE: &str = "/ncn/x3000c0s5b0n0/workload/sbps-marshal";

    #[test]
    fn both_of_our_names_are_ours_and_the_one_with_the_xname_is_better() {
        let all = [svid("/ncn/workload/heartbeat"), svid(PLAIN), svid(OF_NODE)];
        let of_node = Accepted::new(Some("x3000c0s5b0n0\n"));
        assert_eq!(of_node.choose(&all).unwrap().spiffe_id().path(), OF_NODE);
        assert_eq!(of_node.choose(&all[..2]).unwrap().spiffe_id().path(), PLAIN);
        assert_eq!(of_node.choose(&all[..1]), None);
        assert_eq!(Accepted::new(None).choose(&all).unwrap().spiffe_id().path(), PLAIN);
    }

    #[test]
    fn the_xname_of_another_node_is_not_ours_and_nonsense_is_no_xname() {
        assert_eq!(Accepted::new(Some("x3000c0s7b0n0")).choose(&[svid(OF_NODE)]), None);
        for nonsense in ["", " \n", "x/../y", "x1 x2"] {
            assert_eq!(
                Accepted::new(Some(nonsense)).to_string(),
                "spiffe://<domain>/ncn/workload/sbps-marshal"
            );
        }
    }

    #[test]
    fn a_token_lives_until_it_expires_by_a_clock_that_can_be_right() {
        assert_eq!(life(Some(NOW - 100), Some(NOW + 200), NOW), 200);
        assert_eq!(life(None, Some(NOW + 200), NOW), 200);
        assert_eq!(life(None, Some(NOW - 1), NOW), 0);
        assert_eq!(life(None, None, NOW), 0);
    }

    #[test]
    fn a_clock_that_is_off_does_not_shorten_or_lengthen_a_life_beyond_what_was_issued() {
        for off in [NOW - 900, NOW + 900] {
            assert_eq!(life(Some(NOW), Some(NOW + 300), off), 300);
        }
        assert_eq!(life(Some(NOW + 300), Some(NOW), NOW + 900), 0);
    }

    #[test]
    fn a_token_for_another_audience_is_refused() {
        let now = UNIX_EPOCH + Duration::from_secs(NOW);
        assert_eq!(Svid::new(&svid(PLAIN), "system-compute", now).unwrap().life, Duration::from_secs(300));
        let error = Svid::new(&svid(PLAIN), "other", now).unwrap_err();
        assert_eq!(error, r#"its audience is ["system-compute"] and not "other""#);
    }

    #[test]
    fn what_is_no_token_is_refused_and_never_shown() {
        let good = jwt(PLAIN, &json!({"exp": NOW}));
        let no_sub = jwt("", &json!({"exp": NOW, "sub": "geheim"}));
        for bad in ["", "geheim", "a.b.geheim", &format!("{good}\r\nX: y"), &format!("{good}é"), &no_sub] {
            let error = read(bad).unwrap_err();
            assert!(!error.contains("geheim"), "{bad}: {error}");
        }
        let read = read(&good).unwrap();
        let svid = Svid::new(&read, "system-compute", UNIX_EPOCH).unwrap();
        assert!(!format!("{read:?} {svid:?}").contains("geheim"));
    }
}
