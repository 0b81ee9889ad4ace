use super::*;

fn broker(url: &str) -> Broker {
    Broker { url: Some(Secret::new(url)), ..Broker::default() }
}

fn place(url: &str) -> (String, u16, String) {
    let address = broker(url).address().unwrap();
    (address.authority.host, address.authority.port, address.vhost)
}

fn expected(host: &str, port: u16, vhost: &str) -> (String, u16, String) {
    (host.to_owned(), port, vhost.to_owned())
}

#[test]
fn an_empty_entry_is_the_original_consumer() {
    let broker = Broker::default();
    broker.validate(0).unwrap();
    let address = broker.address().unwrap();
    assert_eq!((address.authority.host.as_str(), address.authority.port), ("localhost", 5672));
    let user = &address.authority.userinfo;
    assert_eq!(
        (user.username.as_str(), user.password.as_str(), address.vhost.as_str()),
        ("guest", "guest", "/")
    );
    let queues = broker.filled_queues();
    let queue = &queues[0];
    assert_eq!(queues.len(), 1);
    assert_eq!(
        (queue.queue.as_str(), queue.exchanges.as_slice()),
        ("monitor.info", &["monitor".to_owned()][..])
    );
    assert_eq!((queue.routing_key.as_deref(), queue.durable), (Some("monitor.info"), Some(true)));
    assert_eq!((queue.exchange_type, broker.prefetch), (ExchangeType::Topic, 100));
}

#[test]
fn the_openstack_layout_listens_to_every_service() {
    let broker = Broker { layout: Layout::Openstack, ..Broker::default() };
    let queues = broker.filled_queues();
    let names: Vec<&str> = queues.iter().map(|queue| queue.queue.as_str()).collect();
    assert_eq!(names, ["notifications.info", "notifications.error"]);
    for queue in &queues {
        assert_eq!(queue.exchanges.len(), 14);
        assert_eq!((queue.routing_key.as_ref(), queue.durable), (Some(&queue.queue), Some(false)));
    }
    let quorum = Queue { queue_type: Some(QueueType::Quorum), ..Queue::named("n") };
    let quorum = Broker { queues: vec![quorum], ..broker };
    quorum.validate(0).unwrap();
    assert_eq!(quorum.filled_queues()[0].durable, Some(true));
}

#[test]
fn addresses_are_read_as_clients_of_the_original_write_them() {
    assert_eq!(place("amqp://h:1234/%2f"), expected("h", 1234, "/"));
    assert_eq!(place("amqp://h/"), expected("h", 5672, "/"));
    assert_eq!(place("amqp://h"), expected("h", 5672, "/"));
    assert_eq!(place("amqps://h/cell%2f1"), expected("h", 5671, "cell/1"));
    assert_eq!(place("amqp://u:p%40@[::1]:99/v"), expected("::1", 99, "v"));
    assert_eq!(place("amqp://10.0.0.7/v\n"), expected("10.0.0.7", 5672, "v"));
}

#[test]
fn a_wrong_address_is_refused_without_showing_it() {
    for url in ["", "guest:hunter2@h", "http://u:hunter2@h/", "amqp://u:hunter2@h:port/", "amqp:hunter2"] {
        let error = broker(url).validate(3).unwrap_err().to_string();
        assert!(error.starts_with("events.amqp[3].url: ") && !error.contains("hunter2"), "{error}");
    }
    let shown = format!("{:?}", broker("amqp://u:hunter2@h/"));
    assert!(!shown.contains("hunter2"), "{shown}");
}

#[test]
fn the_address_file_is_read_anew() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("url");
    let broker = Broker { url_file: Some(path.clone()), ..Broker::default() };
    assert!(broker.validate(0).unwrap_err().to_string().contains("url_file"));
    for password in ["one", "two"] {
        std::fs::write(&path, format!("amqp://u:{password}@h/v\n")).unwrap();
        assert_eq!(broker.address().unwrap().authority.userinfo.password, password);
    }
}

fn section(text: &str) -> Result<crate::config::Config, ConfigError> {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("quintet.toml");
    std::fs::write(&file, text).unwrap();
    shared::config::Source::load(Some(&file))?.section("events")
}

#[test]
fn brokers_and_queues_are_lists_of_tables() {
    let config = section(
        "[[events.amqp]]\nurl = \"amqp://u:hunter2@a/v\"\nprefetch = 5\n\
         [[events.amqp.queues]]\nqueue = \"q\"\nexchanges = \"nova, glance\"\nexchange_type = \"direct\"\n\
         queue_type = \"quorum\"\n[[events.amqp.queues]]\nqueue = \"r\"\ndeclare = false\n\
         [[events.amqp]]\nlayout = \"openstack\"\n",
    )
    .unwrap();
    config.validate().unwrap();
    let queues = config.amqp[0].filled_queues();
    assert_eq!(queues[0].exchanges, ["nova", "glance"]);
    assert_eq!(
        (queues[0].exchange_type, queues[0].queue_type),
        (ExchangeType::Direct, Some(QueueType::Quorum))
    );
    assert_eq!((queues[0].declare, queues[1].declare), (true, false));
    assert_eq!((config.amqp[0].prefetch, config.amqp[1].prefetch), (5, 100));
    assert_eq!(config.amqp[1].layout, Layout::Openstack);
    assert!(!serde_json::to_string(&config).unwrap().contains("hunter2"));
}

#[test]
fn unknown_keys_and_missing_names_are_refused_with_their_place() {
    for (text, named) in [
        ("[[events.amqp]]\nurll = \"x\"\n", "urll"),
        ("[[events.amqp]]\n[[events.amqp.queues]]\nname = \"x\"\n", "name"),
        ("[[events.amqp]]\n[[events.amqp.queues]]\ndurable = true\n", "queue"),
        ("[[events.amqp]]\nlayout = \"kafka\"\n", "kafka"),
        ("[[events.amqp]]\nprefetch = 70000\n", "prefetch"),
    ] {
        let error = section(text).unwrap_err().to_string();
        assert!(error.contains(named) && error.contains("quintet.toml"), "{error}");
    }
}

#[test]
fn what_can_never_work_is_refused() {
    let refusal = |change: fn(&mut Broker)| {
        let mut broker = Broker { queues: vec![Queue::named("a"), Queue::named("b")], ..Broker::default() };
        broker.validate(0).unwrap();
        change(&mut broker);
        broker.validate(0).unwrap_err().to_string()
    };
    assert_eq!(refusal(|b| b.prefetch = 0), "events.amqp[0].prefetch: expected 1 to 10000");
    assert_eq!(refusal(|b| b.prefetch = 10_001), "events.amqp[0].prefetch: expected 1 to 10000");
    assert!(refusal(|b| b.queues[1].queue = String::new()).contains("queues[1].queue: expected a name"));
    assert!(refusal(|b| b.queues[1].queue = "a".into()).contains("queues[1].queue: a is listed twice"));
    assert!(refusal(|b| b.queues[0].queue = "x".repeat(256)).contains("at most 255 bytes"));
    assert!(refusal(|b| b.queues[0].exchanges = vec!["\0".into()]).contains("exchanges: "));
    assert!(
        refusal(|b| {
            b.queues[0].queue_type = Some(QueueType::Quorum);
            b.queues[0].durable = Some(false);
        })
        .contains("queue_type: ")
    );
    assert!(refusal(|b| b.ca_file = Some("/nowhere/ca.pem".into())).contains("ca_file /nowhere/ca.pem"));
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ca.pem");
    std::fs::write(&path, "-----BEGIN PRIVATE KEY-----\n").unwrap();
    let broker = Broker { ca_file: Some(path.clone()), ..Broker::default() };
    let expected = format!("events.amqp[0].ca_file {}: expected -----BEGIN CERTIFICATE-----", path.display());
    assert_eq!(broker.validate(0).unwrap_err().to_string(), expected);
    let url_file = Some(path);
    let both = Broker { url: Some(Secret::new("amqp://h/")), url_file, ..Broker::default() };
    let expected = "events.amqp[0].url_file: url is set too; leave one of them out";
    assert_eq!(both.validate(0).unwrap_err().to_string(), expected);
}
