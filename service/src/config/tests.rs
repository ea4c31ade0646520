use std::net::SocketAddr;

use super::*;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Sample {
    roles: Vec<String>,
    http: Http,
    drain: crate::drain::Config,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Http {
    #[serde(with = "optional")]
    listen: Option<SocketAddr>,
    token: String,
    limit: u32,
}

impl Default for Sample {
    fn default() -> Self {
        // Unlike Http's own default: a daemon's defaults must survive a partly given section.
        let http = Http { listen: "127.0.0.1:8443".parse().ok(), ..Http::default() };
        Self { roles: vec!["api".into()], http, drain: Default::default() }
    }
}

impl Default for Http {
    fn default() -> Self {
        Self { listen: None, token: String::new(), limit: 10 }
    }
}

fn load_text(text: &str, env: &[(&str, &str)]) -> Result<Sample> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("sample.toml");
    std::fs::write(&path, text).unwrap();
    load(Some(&path), env.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())))
}

#[test]
fn the_daemons_default_holds_for_every_key_left_out() {
    let config = load_text("[http]\nlimit = 3\n", &[]).unwrap();
    assert_eq!(config.http.listen, Sample::default().http.listen);
    assert_eq!(config.http.limit, 3);
    assert_eq!(load::<Sample>(None, []).unwrap(), Sample::default());
}

#[test]
fn the_environment_wins_over_the_file() {
    let config = load_text(
        "roles = [\"dns\"]\n[http]\nlimit = 3\ntoken = \"file\"\n",
        &[
            ("NEARCAST_HTTP__TOKEN", "1234"),
            ("NEARCAST_HTTP__LISTEN", ""),
            ("NEARCAST_DRAIN__DEADLINE", "5"),
            ("NEARCAST_ROLES", r#"["api", "relay"]"#),
            ("PATH", "/bin"),
        ],
    )
    .unwrap();
    assert_eq!(config.http, Http { listen: None, token: "1234".into(), limit: 3 });
    assert_eq!(config.drain.deadline, 5);
    assert_eq!(config.roles, ["api", "relay"]);
}

#[test]
fn every_mistake_names_the_place_the_key_and_what_is_right() {
    /// File, environment, and what the message must hold.
    type Case = (&'static str, &'static [(&'static str, &'static str)], &'static [&'static str]);
    let cases: &[Case] = &[
        ("[http]\nlisen = \"x\"\n", &[], &["sample.toml:2: `lisen`", "unknown field", "`listen`"]),
        ("\n[htp]\n", &[], &["sample.toml:2", "unknown field `htp`", "`http`"]),
        ("[http]\nlimit = \"many\"\n", &[], &["sample.toml:2: `limit`", "expected u32"]),
        (
            "[http]\nlisten = \"here\"\n",
            &[],
            &["sample.toml:2: `listen`", "\"here\": invalid socket address"],
        ),
        ("[http\n", &[], &["sample.toml:1"]),
        ("[http]\nlimit = 1\nlimit = 2\n", &[], &["sample.toml:3: `limit`", "duplicate key"]),
        ("", &[("NEARCAST_HTTP__LIMIT", "-1")], &["NEARCAST_HTTP__LIMIT: `http.limit`", "expected u32"]),
        ("", &[("NEARCAST_HTTP__LIMITS", "1")], &["NEARCAST_HTTP__LIMITS: `http.limits`", "`limit`"]),
        ("", &[("NEARCAST_ROLES__X", "1")], &["NEARCAST_ROLES__X", "expected a sequence"]),
    ];
    for (text, env, expected) in cases {
        let message = load_text(text, env).unwrap_err().to_string();
        for part in *expected {
            assert!(message.contains(part), "{part:?} is not in {message:?}");
        }
        assert!(!message.contains('\n'), "{message:?} is not one line");
    }
}

#[test]
fn a_file_that_cannot_be_read_is_named() {
    let error = load::<Sample>(Some(Path::new("/nowhere/edge.toml")), []).unwrap_err();
    assert!(error.to_string().contains("/nowhere/edge.toml"));
    assert!(crate::log::Chain(&error).to_string().contains("No such file"));
}

#[test]
fn what_is_rendered_reads_back_the_same() {
    let text = render(&Sample::default()).unwrap();
    assert_eq!(load_text(&text, &[]).unwrap(), Sample::default());
}

#[test]
fn a_variable_cannot_carry_more_than_its_own_key() {
    assert_eq!(value_of("1\nother = 2"), Value::String("1\nother = 2".into()));
    assert_eq!(value_of("[1, 2]").as_array().map(Vec::len), Some(2));
}

#[test]
fn what_is_secret_is_not_shown() {
    #[derive(Serialize)]
    struct Outer {
        token: &'static str,
        empty: &'static str,
        options: std::collections::BTreeMap<&'static str, &'static str>,
        inner: Inner,
    }
    #[derive(Serialize)]
    struct Inner {
        passphrase: &'static str,
        listen: &'static str,
        url: &'static str,
    }
    let options = [("key", "hush 1"), ("region", "hush 2")].into();
    let url = "https://me:hush5@host/path@x";
    let inner = Inner { passphrase: "hush 3", listen: "seen", url };
    let config = Outer { token: "hush 4", empty: "", options, inner };
    let shown = show(&config, &["token", "empty", "options", "inner.passphrase", "not.there"]).unwrap();
    assert!(!shown.contains("hush") && shown.contains("seen") && shown.contains("empty = \"\""), "{shown}");
    assert_eq!(shown.matches("(hidden)").count(), 5, "{shown}");
    assert!(shown.contains("https://(hidden)@host/path@x"), "{shown}");
}
