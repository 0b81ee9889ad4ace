use super::*;

fn refusal(change: impl FnOnce(&mut Config, &mut Common)) -> String {
    let (mut config, mut common) = (Config::default(), Common::default());
    change(&mut config, &mut common);
    config.validate(&common).map_or_else(|error| error.to_string(), |()| "accepted".into())
}

#[test]
fn unset_mode_is_open_on_loopback_alone() {
    assert_eq!(Config::default().mode(&Common::default()).unwrap(), AuthMode::Open);
    for address in ["0.0.0.0:8080", "[::]:8080", "10.0.0.1:80"] {
        let text = refusal(|config, _| config.listen = address.into());
        assert!(text.starts_with(&format!("auth.mode: not set, but gateway.listen = {address}")), "{text}");
    }
    let text = refusal(|config, _| config.compat.panko = Some("0.0.0.0:8977".into()));
    assert!(text.contains("gateway.compat.panko"), "{text}");
}

#[test]
fn a_mode_that_is_set_holds_on_every_address() {
    for mode in [AuthMode::Open, AuthMode::Secure] {
        let text = refusal(|config, common| {
            config.listen = "0.0.0.0:8080".into();
            common.auth.mode = Some(mode);
        });
        assert_eq!(text, "accepted");
    }
}

#[test]
fn values_that_cannot_work_are_refused_by_name() {
    type Change = fn(&mut Config);
    let cases: [(&str, Change); 21] = [
        ("gateway.upstreams.tasks: expected http://host:port, found tasks:9000", |config| {
            config.upstreams.tasks = vec!["http://a".into(), "tasks:9000".into()];
        }),
        ("gateway.upstreams.tasks: expected http://host:port, found http://********@a:1", |config| {
            config.upstreams.tasks = vec!["http://u:hunter2@a:1".into()];
        }),
        ("gateway.trusted_proxies: no network: ::ffff:127.0.0.0/95", |config| {
            config.trusted_proxies = vec!["::ffff:127.0.0.0/95".into()];
        }),
        ("gateway.cors_origins: no origin: https://Example.com", |config| {
            config.cors_origins = vec!["https://Example.com".into()];
        }),
        ("gateway.cors_write_origins: no origin: https://a/", |config| {
            config.cors_write_origins = vec!["https://a/".into()];
        }),
        ("gateway.hosts: expected a host name alone, found box:8080", |config| {
            config.hosts = vec!["box.example".into(), "box:8080".into()];
        }),
        ("gateway.hosts: expected a host name alone, found http://box", |config| {
            config.hosts = vec!["http://box".into()];
        }),
        ("gateway.hosts: expected a host name alone, found *.box", |config| {
            config.hosts = vec!["*.box".into()];
        }),
        ("gateway.hosts: expected a host name alone, found box.", |config| {
            config.hosts = vec!["box.".into()];
        }),
        ("gateway.hosts: expected a host name alone, found ", |config| config.hosts = vec![String::new()]),
        ("gateway.listen: expected host:port, found 8080", |config| config.listen = "8080".into()),
        ("gateway.workers: expected 1 to 64", |config| config.workers = 0),
        ("gateway.trusted_proxies: no network: 10.0.0.0/40", |config| {
            config.trusted_proxies = vec!["10.0.0.0/40".into()];
        }),
        ("gateway.cors_origins: no origin: example.com", |config| {
            config.cors_origins = vec!["example.com".into()];
        }),
        ("gateway.cors_write_origins: no origin: *", |config| config.cors_write_origins = vec!["*".into()]),
        ("gateway.limits.max_in_flight: expected 1 to 1000000, found 0", |config| {
            config.limits.max_in_flight = 0;
        }),
        // tokio's semaphore panics above an eighth of this.
        ("gateway.limits.max_connections: expected 1 to 1000000, found 18446744073709551615", |config| {
            config.limits.max_connections = usize::MAX;
        }),
        ("gateway.timeouts.answer_secs: expected 1 to 86400, found 18446744073709551615", |config| {
            config.timeouts.answer_secs = u64::MAX;
        }),
        ("gateway.timeouts.keep_alive_secs: expected 1 to 86400, found 0", |config| {
            config.timeouts.keep_alive_secs = 0;
        }),
        ("gateway.timeouts.connect_millis: expected 1 to 60000, found 60001", |config| {
            config.timeouts.connect_millis = 60_001;
        }),
        ("gateway.dns_refresh_secs: expected 1 to 3600", |config| config.dns_refresh_secs = 0),
    ];
    for (expected, change) in cases {
        assert_eq!(refusal(|config, _| change(config)), expected);
    }
}

#[test]
fn compat_turns_on_the_original_ports_and_keeps_set_ones() {
    let compat = Compat { snap: Some("127.0.0.1:9".into()), ..Compat::default() }.on_original_ports();
    let at = |port: u16| Some(format!("127.0.0.1:{port}"));
    let expected =
        Compat { stacktach: at(8000), panko: at(8977), snap: at(9), annotate: at(8070), fifo: at(8087) };
    assert_eq!(compat, expected);
}

#[test]
fn two_listeners_at_one_address_are_refused_with_both_keys() {
    let refused = |listen: &str, panko: &str, snap: &str| {
        refusal(|config, common| {
            common.auth.mode = Some(AuthMode::Secure);
            config.listen = listen.into();
            config.compat.panko = Some(panko.into());
            config.compat.snap = Some(snap.into());
        })
    };
    assert_eq!(
        refused("127.0.0.1:1", "127.0.0.1:1", "127.0.0.1:2"),
        "gateway.compat.panko: gateway.listen listens on 127.0.0.1:1 already"
    );
    assert_eq!(
        refused("127.0.0.1:1", "127.0.0.1:2", "127.0.0.1:2"),
        "gateway.compat.snap: gateway.compat.panko listens on 127.0.0.1:2 already"
    );
    assert!(refused("0.0.0.0:1", "127.0.0.1:1", "127.0.0.1:2").starts_with("gateway.compat.panko: "));
    assert_eq!(refused("127.0.0.1:0", "127.0.0.1:0", "127.0.0.1:0"), "accepted");
    assert_eq!(refused("127.0.0.1:1", "127.0.0.2:1", "[::1]:1"), "accepted");
}

#[test]
fn the_first_user_has_a_name_as_every_user() {
    for name in ["", " a ", "a:b", "a\n"] {
        let text = refusal(|_, common| common.auth.admin_user = Some(name.into()));
        let expected = "auth.admin_user: expected 1 to 255 characters, no colon, and no space at its ends";
        assert_eq!(text, expected, "{name:?}");
    }
    assert_eq!(refusal(|_, common| common.auth.admin_user = Some("Ада Л".into())), "accepted");
}
