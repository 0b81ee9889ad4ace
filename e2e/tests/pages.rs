//! The pages in a real browser (annotate.md, section 8): what a person does, and what nobody may do to him.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that cannot go on has failed")]

use e2e::browser::Browser;
use e2e::{Home, Product};
use serde_json::{Value, json};

async fn post(product: &Product, annotation: &Value) -> Value {
    let url = format!("{}/annotation", product.url);
    reqwest::Client::new().post(url).json(annotation).send().await.unwrap().json().await.unwrap()
}

async fn get(product: &Product, id: &str) -> (u16, Value) {
    let answer = reqwest::get(format!("{}/annotation/{id}", product.url)).await.unwrap();
    (answer.status().as_u16(), answer.json().await.unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_annotation_is_created_edited_deleted_and_brought_back() {
    let Some(browser) = Browser::start().await.unwrap() else { return };
    let home = Home::sqlite().unwrap();
    let product = home.start(&[]).unwrap();
    browser.open(&format!("{}/annotate", product.url)).await.unwrap();
    browser.shows("h1", "New Annotation").await.unwrap();
    for (name, text) in [
        ("StartDate", "2016-02-24T22:08:41-05:00"),
        ("EndDate", "2016-02-24T22:10:41-05:00"),
        ("CreationUser", "kbrandt"),
        ("Owner", "sre; ü=1"),
        ("Message", "web goes out"),
    ] {
        browser.write(&format!("#{name}"), text).await.unwrap();
    }
    browser.click(".buttons button").await.unwrap();
    browser.shows("#notice", "Created.").await.unwrap();
    let id = browser.run("return new URLSearchParams(location.search).get('guid')").await.unwrap();
    let id = id.as_str().unwrap().to_owned();
    let mut expected = json!({
        "Id": id, "Message": "web goes out", "CreationUser": "kbrandt", "Url": "", "Source": "annotate-ui",
        "Host": "", "Owner": "sre; ü=1", "Category": "",
        "StartDate": "2016-02-24T22:08:41-05:00", "EndDate": "2016-02-24T22:10:41-05:00",
    });
    assert_eq!(get(&product, &id).await, (200, expected.clone()));

    // Somebody else is quicker: nothing of his is lost.
    let other =
        reqwest::Client::new().patch(format!("{}/annotation/{id}", product.url)).body(r#"{"Host": "web7"}"#);
    assert_eq!(other.send().await.unwrap().status(), 200);
    browser.write("#Category", "outage").await.unwrap();
    browser.click(".buttons button").await.unwrap();
    let stale = "Somebody has changed this annotation meanwhile: reload the page to see how.";
    browser.shows("#error", stale).await.unwrap();
    browser.open(&format!("{}/annotate/?guid={id}", product.url)).await.unwrap();
    browser.shows("h1", &format!("Editing Annotation {id}")).await.unwrap();
    browser.write("#Category", "outage").await.unwrap();
    browser.click(".buttons button").await.unwrap();
    browser.shows("#notice", "Saved.").await.unwrap();
    expected["Host"] = "web7".into();
    expected["Category"] = "outage".into();
    assert_eq!(get(&product, &id).await, (200, expected.clone()));

    // What the API refuses is told in its words.
    browser.write("#EndDate", "2001-01-01T00:00:00Z").await.unwrap();
    browser.click(".buttons button").await.unwrap();
    browser.shows("#error", "EndDate is before StartDate").await.unwrap();

    // Asked first; Escape keeps it. Deleted, and back.
    browser.click(".buttons button[type=button]").await.unwrap();
    browser.shows("#confirm p", "Delete “web goes out”?").await.unwrap();
    browser.click("#confirm button[value=no]").await.unwrap();
    assert_eq!(get(&product, &id).await.0, 200);
    browser.click(".buttons button[type=button]").await.unwrap();
    browser.click("#confirm button[value=yes]").await.unwrap();
    browser.shows("#notice", "Deleted. Undo").await.unwrap();
    assert_eq!(get(&product, &id).await.0, 404);
    browser.click("#notice button").await.unwrap();
    browser.shows("#notice", "Restored. Open").await.unwrap();
    assert_eq!(get(&product, &id).await, (200, expected));

    // Texts that no field can hold stay as they are when something else is changed.
    let odd = json!({ "Message": "m", "Owner": "a\nb", "Url": " https://x ", "CreationUser": "machine" });
    let odd = post(&product, &odd).await;
    browser.open(&format!("{}/annotate/?guid={}", product.url, odd["Id"].as_str().unwrap())).await.unwrap();
    browser.until("return document.getElementById('Owner')?.value", &json!("ab")).await.unwrap();
    browser.write("#Category", "c").await.unwrap();
    browser.click(".buttons button").await.unwrap();
    browser.shows("#notice", "Saved.").await.unwrap();
    let mut changed = odd.clone();
    changed["Category"] = "c".into();
    assert_eq!(get(&product, odd["Id"].as_str().unwrap()).await, (200, changed));

    // What the page does not show stays, too: tags of Grafana's, and fractions of a second.
    let grafana =
        json!({ "time": 1_456_369_721_123_i64, "tags": ["owner:sre", "deploy", "extra"], "text": "t" });
    let url = format!("{}/api/annotations", product.url);
    let made = reqwest::Client::new().post(&url).json(&grafana).send().await.unwrap();
    assert_eq!(made.status(), 200);
    let around = format!("{url}?from=1456369721000&to=1456369722000&tags=extra");
    let listed = async || reqwest::get(&around).await.unwrap().json::<Value>().await.unwrap();
    let before = listed().await;
    let window = "StartDate=1456369721&EndDate=1456369722&Message=t";
    let found = reqwest::get(format!("{}/annotation/query?{window}", product.url)).await.unwrap();
    let found: Value = found.json().await.unwrap();
    let guid = found[0]["Id"].as_str().unwrap();
    browser.open(&format!("{}/annotate/?guid={guid}", product.url)).await.unwrap();
    browser.until("return document.getElementById('Message')?.value", &json!("t")).await.unwrap();
    browser.click("label[for=StartDate]").await.unwrap();
    browser.write("#Message", "corrected").await.unwrap();
    browser.click(".buttons button").await.unwrap();
    browser.shows("#notice", "Saved.").await.unwrap();
    let after = listed().await;
    assert_eq!(
        (&after[0]["tags"], &after[0]["time"], &after[0]["text"]),
        (&before[0]["tags"], &json!(1_456_369_721_123_i64), &json!("corrected")),
    );

    // Who created is remembered, under the original's names; whom he corrected is not.
    browser.open(&format!("{}/annotate", product.url)).await.unwrap();
    browser.shows("h1", "New Annotation").await.unwrap();
    browser.until("return document.getElementById('Owner').value", &json!("sre; ü=1")).await.unwrap();
    let cookies =
        browser.run("return document.cookie.split('; ').map((pair) => pair.split('=')[0]).sort()").await;
    assert_eq!(cookies.unwrap(), json!(["action-owner", "action-user"]));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_list_takes_its_conditions_from_the_address_and_shows_what_comes() {
    let Some(browser) = Browser::start().await.unwrap() else { return };
    let home = Home::sqlite().unwrap();
    let product = home.start(&[]).unwrap();
    let shown = "return [...document.querySelectorAll('tbody tr')].map((row) => row.lastChild.innerText)";
    for (message, owner) in [("first", "sre"), ("second", "web"), ("third", "")] {
        post(&product, &json!({ "Message": message, "Owner": owner })).await;
    }
    let list = format!("{}/annotate/list", product.url);
    browser.open(&format!("{list}?Owner%3AEmpty%3ANot=&Message=second")).await.unwrap();
    browser.until(shown, &json!(["second"])).await.unwrap();
    browser.open(&format!("{list}?Owner=nobody")).await.unwrap();
    browser.shows(".count", "No annotations in this window.").await.unwrap();
    browser.write("[name=filter]", "owner:(").await.unwrap();
    browser.click(".filters > button").await.unwrap();
    browser.until("return document.getElementById('error').hidden", &json!(false)).await.unwrap();

    browser.open(&list).await.unwrap();
    browser.shows(".count", "3 of 3").await.unwrap();
    browser.until("return document.querySelectorAll('.timeline a').length", &json!(3)).await.unwrap();
    // Somebody else's annotation comes by itself once that is asked for: the listener has to be there before it.
    browser.click("[type=checkbox]").await.unwrap();
    let listeners = || async {
        let metrics = reqwest::get(format!("{}/metrics", product.url)).await.unwrap().text().await.unwrap();
        metrics.lines().any(|line| line.starts_with("quintet_annotate_listeners") && line.ends_with(" 1"))
    };
    while !listeners().await {}
    // The rows that are there stay where they are, and whoever is on one of them.
    let messages = "return [...document.querySelectorAll('tbody tr')].map(row => row.lastChild.textContent)";
    let before = browser.run(messages).await.unwrap();
    let mark = "const row = document.querySelectorAll('tbody tr')[1]; row.title = 'kept'; row.querySelector('a').focus()";
    browser.run(mark).await.unwrap();
    post(&product, &json!({ "Message": "fourth", "StartDate": "2000-01-01T00:00:00Z" })).await;
    post(&product, &json!({ "Message": "fifth" })).await;
    browser.shows(".count", "4 of 4").await.unwrap();
    let mut after = vec![json!("fifth")];
    after.extend(before.as_array().unwrap().iter().cloned());
    browser.until(messages, &after.into()).await.unwrap();
    let kept =
        "return [document.querySelectorAll('tbody tr')[2].title, document.activeElement.closest('tr').title]";
    assert_eq!(browser.run(kept).await.unwrap(), json!(["kept", "kept"]));
    // In the other zone every row shows other times, in the same order.
    browser.click("#zone").await.unwrap();
    let order = browser.run(messages).await.unwrap();
    assert_eq!(order[0], "fifth");
    assert_eq!(browser.run("return document.querySelectorAll('tbody tr').length").await.unwrap(), json!(4));
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_that_somebody_wrote_acts_in_the_page() {
    let Some(browser) = Browser::start().await.unwrap() else { return };
    let home = Home::sqlite().unwrap();
    let product = home.start(&[]).unwrap();
    let markup = "<img src=x onerror=\"document.title='taken'\"><script>document.title='taken'</script>";
    let hostile = json!({
        "Message": markup, "Owner": markup, "Host": "\" onmouseover=\"document.title='taken'", "Category": markup,
        "CreationUser": markup, "Source": markup, "Url": "javascript:document.title='taken'",
    });
    let id = post(&product, &hostile).await["Id"].as_str().unwrap().to_owned();
    browser.open(&format!("{}/annotate/list", product.url)).await.unwrap();
    browser.shows(".count", "1 of 1").await.unwrap();
    let message = "return document.querySelector('td.message').textContent";
    assert_eq!(browser.run(message).await.unwrap(), json!(markup));
    let made = "return document.querySelectorAll('tbody img, tbody script, .timeline img, a[href^=javascript]').length";
    assert_eq!(browser.run(made).await.unwrap(), json!(0));
    assert_eq!(browser.run("return document.title").await.unwrap(), json!("Annotations: list"));
    browser.open(&format!("{}/annotate/?guid={id}", product.url)).await.unwrap();
    browser.shows("h1", &format!("Editing Annotation {id}")).await.unwrap();
    assert_eq!(browser.run("return document.getElementById('Message').value").await.unwrap(), json!(markup));
    assert_eq!(browser.run("return document.title").await.unwrap(), json!("Annotations"));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_api_documents_are_shown_and_an_operation_can_be_tried() {
    let Some(browser) = Browser::start().await.unwrap() else { return };
    let home = Home::sqlite().unwrap();
    let product = home.start(&[]).unwrap();
    post(&product, &json!({ "Message": "shown", "Owner": "sre" })).await;
    browser.open(&format!("{}/docs#annotate/listValues", product.url)).await.unwrap();
    browser.shows("nav [aria-current]", "Annotations").await.unwrap();
    browser
        .until("return document.querySelectorAll('details[open] button').length", &json!(1))
        .await
        .unwrap();
    browser.write("details[open] input[aria-label='field (path)']", "Owner").await.unwrap();
    browser.click("details[open] button").await.unwrap();
    let answer =
        "return document.querySelector('details[open] pre[aria-live]').textContent.split('\\n\\n').pop()";
    browser.until(answer, &json!("[\n  \"sre\"\n]")).await.unwrap();
}
