use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::model::Value;
use crate::pipeline::tests::{Script, event, events, params};

const ID: &str = "a16aa892-6e62-47fd-8aee-5183ef71d605";
const OPERATION: &str = "compute.instance.rebuild.end";
const DELETION: &str = "compute.instance.delete.end";

/// Runs the handler over events of stream 7; the events it adds, or why it broke.
fn reports(events: Events) -> Result<Vec<Event>, String> {
    let given = events.len();
    let mut env = Env::new(7, "t");
    let mut handler = build(&params(json!({})), &Script::default().world()).unwrap();
    let mut returned = handler.handle_events(events.clone(), &mut env).map_err(|error| error.to_string())?;
    let added = returned.split_off(given);
    assert_eq!(returned, events);
    assert_eq!(env.get("usage_notifications").unwrap().as_array().unwrap().len(), added.len());
    Ok(added.iter().map(|event| Event::clone(event)).collect())
}

fn time(text: &str) -> Json {
    json!({ "__type__": "datetime", "datetime": text })
}

/// An exists of 2015-02-27, a whole day, of an active instance launched in the year before; `changes`
/// replace traits, null removes one.
fn exists(changes: Json) -> Event {
    let mut traits = json!({
        "instance_id": "i-1",
        "state": "active",
        "tenant_id": "714200",
        "instance_flavor_id": 7,
        "launched_at": time("2014-12-15T13:22:12.015932"),
        "audit_period_beginning": time("2015-02-27T00:00:00"),
        "audit_period_ending": time("2015-02-28T00:00:00"),
    });
    traits.as_object_mut().unwrap().extend(params(changes));
    event("compute.instance.exists", ID, "2015-02-28T00:27:18.603932", traits)
}

/// An event that agrees with [`exists`], but for the changes.
fn other(event_type: &str, changes: Json) -> Event {
    let mut traits = json!({
        "instance_id": "i-1",
        "tenant_id": "714200",
        "instance_flavor_id": 7,
        "launched_at": time("2014-12-15T13:22:12.015932"),
    });
    traits.as_object_mut().unwrap().extend(params(changes));
    event(event_type, "d359a6db-a488-4522-8b94-2ad17fb7ac38", "2015-02-27T15:33:22", traits)
}

/// Code and text of the only report about this exists after this block; `None` as code if verified.
fn verdict<const N: usize>(block: [Event; N], exists: Event) -> Result<(Option<String>, String), String> {
    let mut all = events(block);
    all.push(Arc::new(exists));
    let reports = reports(all)?;
    let [report] = reports.as_slice() else { return Err(format!("{} reports", reports.len())) };
    let text = |name: &str| report.traits.get(name).and_then(Value::as_text).map(str::to_owned);
    let suffix = if text("error_code").is_some() { ".failed" } else { ".verified" };
    assert!(report.event_type.ends_with(suffix), "{}", report.event_type);
    Ok((text("error_code"), text("error").unwrap_or_default()))
}

fn verified() -> Result<(Option<String>, String), String> {
    Ok((None, "None".to_owned()))
}

fn failed(code: &str, text: &str) -> Result<(Option<String>, String), String> {
    Ok((Some(code.to_owned()), text.to_owned()))
}

#[test]
fn sound_exists_is_verified_with_all_its_traits() {
    let reports = reports(events([exists(json!({ "bandwidth_in": 5 }))])).unwrap();
    let mut expected = exists(json!({})).to_json();
    for (name, value) in [
        ("bandwidth_in", json!(5)),
        ("bandwidth_out", json!(0)),
        ("rax_options", json!("0")),
        ("original_message_id", json!(ID)),
        ("publisher_id", json!("stv3")),
        ("stream_id", json!(7)),
        ("error", json!("None")),
        ("event_type", json!("compute.instance.exists.verified")),
        // python3 -c 'import uuid; print(uuid.uuid5(uuid.UUID(ID), "compute.instance.exists.verified"))'
        ("message_id", json!("9428dbc5-6df5-5ebb-9b72-f8708d842f6a")),
    ] {
        expected[name] = value;
    }
    assert_eq!(reports.len(), 1);
    assert_eq!(reports[0].to_json(), expected);
}

#[test]
fn u0_events_without_exists_fail() {
    let mut first = other("compute.instance.update", json!({}));
    first.timestamp = exists(json!({})).timestamp;
    let reports = reports(events([exists(json!({})), first.clone(), other(OPERATION, json!({}))])).unwrap();
    assert_eq!(reports.len(), 2);
    let expected = json!({
        "event_type": "compute.instance.exists.failed",
        "message_id": "00000000-0000-0000-0000-000000000001",
        "timestamp": time("2015-02-28T00:27:18.603932"),
        "instance_id": "i-1",
        "stream_id": 7,
        "error": "Notifications, but no .exists notification found.",
        "error_code": "U0",
    });
    assert_eq!(reports[1].to_json(), expected);
}

#[test]
fn u1_active_instance_must_have_been_launched() {
    let text = ".exists has no launched_at value.";
    assert_eq!(verdict([], exists(json!({ "launched_at": null }))), failed("U1", text));
    assert_eq!(verdict([], exists(json!({ "launched_at": "" }))), failed("U1", text));
    assert_eq!(verdict([], exists(json!({ "launched_at": null, "state": "building" }))), verified());
}

#[test]
fn u2_operation_must_show_the_same_instance() {
    let check = |on_event: Json, on_exists: Json| verdict([other(OPERATION, on_event)], exists(on_exists));
    assert_eq!(check(json!({}), json!({})), verified());
    assert_eq!(check(json!({ "instance_flavor_id": 7.0 }), json!({})), verified());
    assert_eq!(
        check(json!({ "instance_flavor_id": 2 }), json!({})),
        failed("U2", "Conflicting 'instance_flavor_id' values ('2' != '7')")
    );
    assert_eq!(
        check(json!({ "launched_at": time("2015-02-27T10:00:00") }), json!({})),
        failed(
            "U2",
            "Conflicting 'launched_at' values ('2015-02-27 10:00:00' != '2014-12-15 13:22:12.015932')"
        )
    );
    // launched_at is looked at before tenant_id.
    assert_eq!(
        check(json!({ "tenant_id": "x", "os_distro": "a" }), json!({ "os_distro": "b" })),
        failed("U2", "Conflicting 'tenant_id' values ('x' != '714200')")
    );
    for name in ["compute.instance.finish_resize.end", "compute.instance.rescue.end"] {
        let conflict = failed("U2", "Conflicting 'tenant_id' values ('x' != '714200')");
        assert_eq!(verdict([other(name, json!({ "tenant_id": "x" }))], exists(json!({}))), conflict);
    }
    let unlike = other("compute.instance.update", json!({ "tenant_id": "x" }));
    assert_eq!(verdict([unlike.clone()], exists(json!({}))), verified());
    // Only the last operation counts.
    let earlier = other(OPERATION, json!({ "tenant_id": "x" }));
    assert_eq!(verdict([earlier, other(OPERATION, json!({})), unlike], exists(json!({}))), verified());
}

#[test]
fn field_that_one_of_two_lacks_breaks_the_pipeline() {
    let lacking = verdict([other(OPERATION, json!({ "os_distro": "a" }))], exists(json!({})));
    assert_eq!(lacking, Err(format!("event {ID} has no 'os_distro'")));
    let lacking = verdict([other(OPERATION, json!({ "tenant_id": null }))], exists(json!({})));
    assert_eq!(lacking, Err("event d359a6db-a488-4522-8b94-2ad17fb7ac38 has no 'tenant_id'".to_owned()));
}

#[test]
fn u3_deleted_instance_must_say_so() {
    let deleted = exists(json!({ "deleted_at": time("2015-02-27T12:00:00") }));
    let text = ".exists state not 'deleted' but .exists deleted_at is set.";
    assert_eq!(verdict([], deleted), failed("U3", text));
}

/// An exists of a deleted instance.
fn deleted(at: &str) -> Event {
    exists(json!({ "state": "deleted", "deleted_at": time(at) }))
}

#[test]
fn u4_instance_is_not_deleted_before_its_launch() {
    let text = ".exists deleted_at < .exists launched_at.";
    assert_eq!(verdict([], deleted("2014-12-15T13:22:12")), failed("U4", text));
    assert_eq!(verdict([], deleted("2014-12-15T13:22:12.015932")), verified());
}

#[test]
fn u5_deletion_in_the_period_must_have_its_event() {
    let text = ".exists deleted_at in audit period, but no matching .delete event found.";
    for within in ["2015-02-27T00:00:00", "2015-02-27T12:00:00", "2015-02-28T00:00:00"] {
        assert_eq!(verdict([], deleted(within)), failed("U5", text), "{within}");
    }
    assert_eq!(verdict([], deleted("2015-02-26T23:59:59.999999")), verified());
    assert_eq!(verdict([], deleted("2015-02-28T00:00:00.000001")), verified());
}

#[test]
fn u6_deletion_must_show_in_the_exists() {
    let text = ".deleted events found but .exists has no deleted_at value.";
    assert_eq!(verdict([other(DELETION, json!({}))], exists(json!({}))), failed("U6", text));
    assert_eq!(
        verdict([other(DELETION, json!({}))], exists(json!({ "deleted_at": "" }))),
        failed("U6", text)
    );
}

#[test]
fn u7_instance_is_deleted_once() {
    let deletion = other(DELETION, json!({ "deleted_at": time("2015-02-27T12:00:00") }));
    let twice = verdict([deletion.clone(), deletion], deleted("2015-02-27T12:00:00"));
    assert_eq!(twice, failed("U7", "Multiple .delete.end events"));
}

#[test]
fn deletion_must_be_that_of_the_exists() {
    let deletion = |at| other(DELETION, json!({ "deleted_at": time(at) }));
    assert_eq!(verdict([deletion("2015-02-27T12:00:00")], deleted("2015-02-27T12:00:00")), verified());
    assert_eq!(
        verdict([deletion("2015-02-27T12:00:01")], deleted("2015-02-27T12:00:00")),
        failed("U2", "Conflicting 'deleted_at' values ('2015-02-27 12:00:00' != '2015-02-27 12:00:01')")
    );
}

#[test]
fn u8_launch_in_the_period_must_have_events() {
    let launched = |at| exists(json!({ "launched_at": time(at) }));
    let text = ".exists launched_at in audit period, but no related events found.";
    for within in ["2015-02-27T00:00:00", "2015-02-27T15:31:24", "2015-02-28T00:00:00"] {
        assert_eq!(verdict([], launched(within)), failed("U8", text), "{within}");
    }
    assert_eq!(verdict([], launched("2015-02-28T00:00:00.000001")), verified());
    let update = other("compute.instance.update", json!({}));
    assert_eq!(verdict([update], launched("2015-02-27T15:31:24")), verified());
    let without_period = json!({ "launched_at": time("2015-02-27T15:31:24"), "audit_period_ending": null });
    assert_eq!(verdict([], exists(without_period)), verified());
}

#[test]
fn short_audit_period_without_operation_is_a_warning_that_stays() {
    let short = json!({ "audit_period_ending": time("2015-02-27T18:00:00") });
    let reports = reports(events([exists(short), exists(json!({}))])).unwrap();
    let types: Vec<_> = reports.iter().map(|report| report.event_type.as_str()).collect();
    let (warnings, verified) = ("compute.instance.exists.warnings", "compute.instance.exists.verified");
    assert_eq!(types, [warnings, verified, warnings, verified]);
    let expected = json!({
        "event_type": warnings,
        "message_id": "00000000-0000-0000-0000-000000000001",
        "timestamp": time("2015-02-28T00:27:18.603932"),
        "publisher_id": "stv3",
        "stream_id": 7,
        "instance_id": "i-1",
        "warnings": format!("Non-EOD .exists found (msg_id: {ID}) with no operation event."),
    });
    assert_eq!(reports[0].to_json(), expected);
    assert_eq!(reports[2].traits["warnings"], reports[0].traits["warnings"]);
}

#[test]
fn second_warning_is_joined_with_a_comma_and_an_operation_needs_none() {
    let short = || exists(json!({ "audit_period_ending": time("2015-02-27T18:00:00"), "instance_id": null }));
    let both = reports(events([short(), short()])).unwrap();
    let one = format!("Non-EOD .exists found (msg_id: {ID}) with no operation event.");
    assert_eq!(both[2].traits["warnings"].as_text(), Some(format!("{one}, {one}").as_str()));
    assert_eq!(both[2].traits["instance_id"].as_text(), Some("n/a"));
    assert_eq!(verdict([other(OPERATION, json!({}))], short()), verified());
    let across_midnight = json!({ "audit_period_beginning": time("2015-02-27T23:00:00"),
        "audit_period_ending": time("2015-02-28T01:00:00") });
    assert_eq!(verdict([], exists(across_midnight)), verified());
}

#[test]
fn exists_whose_id_is_no_uuid_breaks_the_pipeline() {
    let mut exists = exists(json!({}));
    exists.message_id = "x".to_owned();
    let error = verdict([], exists).unwrap_err();
    assert!(error.starts_with("message_id 'x': "), "{error}");
}

#[test]
fn times_of_different_types_break_the_pipeline() {
    let launched = exists(json!({ "launched_at": "2015-02-27" }));
    assert_eq!(verdict([], launched), Err("times of the .exists are of different types".to_owned()));
    let missing =
        exists(json!({ "state": "deleted", "deleted_at": time("2015-02-27T12:00:00"), "launched_at": null }));
    assert_eq!(verdict([], missing), Err("the .exists has a deleted_at and no launched_at".to_owned()));
}

#[test]
fn notification_of_a_verdict_has_the_older_payload() {
    let mut env = Env::new(7, "t");
    let mut handler = build(&params(json!({})), &Script::default().world()).unwrap();
    handler.handle_events(events([exists(json!({ "instance_flavor": "15GB" }))]), &mut env).unwrap();
    let notification = &env.get("usage_notifications").unwrap()[0];
    assert_eq!(notification["event_type"], "compute.instance.exists.verified");
    assert_eq!(notification["original_message_id"], ID);
    let expected = json!({
        "audit_period_beginning": "2015-02-27 00:00:00",
        "audit_period_ending": "2015-02-28 00:00:00",
        "launched_at": "2014-12-15 13:22:12.015932",
        "deleted_at": "",
        "instance_id": "i-1",
        "tenant_id": "714200",
        "display_name": "",
        "instance_type": "15GB",
        "instance_flavor_id": 7,
        "state": "active",
        "state_description": "",
        "bandwidth": { "public": { "bw_in": 0, "bw_out": 0 } },
        "image_meta": {
            "org.openstack__1__architecture": "",
            "org.openstack__1__os_version": "",
            "org.openstack__1__os_distro": "",
            "org.rackspace__1__options": "0",
        },
    });
    assert_eq!(notification["payload"], expected);
}

fn any_trait() -> impl Strategy<Value = Json> {
    prop_oneof![
        Just(Json::Null),
        Just(json!("")),
        Just(json!("deleted")),
        Just(json!("active")),
        Just(json!(7)),
        Just(json!(7.5)),
        Just(time("2015-02-27T00:00:00")),
        Just(time("2015-02-27T12:00:00")),
        Just(time("9999-12-31T00:00:00")),
    ]
}

proptest! {
    /// Whatever the traits are: the same verdicts as often as there are exists, or a broken pipeline.
    #[test]
    fn any_events_have_verdicts_or_break(
        kinds in prop::collection::vec(0_usize..4, 0..6),
        traits in prop::collection::vec(prop::collection::vec(any_trait(), 6), 6),
    ) {
        let names =
            ["state", "launched_at", "deleted_at", "audit_period_beginning", "audit_period_ending", "tenant_id"];
        let types = ["compute.instance.exists", OPERATION, DELETION, "compute.instance.update"];
        let given = kinds.iter().zip(traits).map(|(kind, values)| {
            let traits = names.iter().map(|name| (*name).to_owned()).zip(values).collect();
            Arc::new(event(types[*kind], ID, "2015-02-28T00:00:00", Json::Object(traits)))
        });
        let given: Events = given.collect();
        let (count, ends_open) = (kinds.iter().filter(|kind| **kind == 0).count(), kinds.last().is_some_and(|kind| *kind != 0));
        if let Ok(reports) = reports(given) {
            let verdicts = reports.iter().filter(|report| !report.event_type.ends_with("warnings")).count();
            prop_assert_eq!(verdicts, count + usize::from(ends_open));
        }
    }
}
