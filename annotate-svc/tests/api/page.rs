//! The page (contract `annotate`, sections 3 and 8): where it is, and that it asks nothing of anybody else. What its
//! modules compute is tested beside them (`src/page/tests`).

use crate::rig::Rig;

/// What stands between quotes after each `word` of a text.
fn quoted<'t>(text: &'t str, word: &str) -> Vec<&'t str> {
    text.split(word).skip(1).filter_map(|rest| rest.split('"').nth(1)).collect()
}

#[actix_web::test]
async fn every_other_get_answers_the_page_with_its_files_below_it() {
    let rig = Rig::new();
    for (uri, base) in [
        ("/", "/"),
        ("/list", "/"),
        ("/?guid=1", "/"),
        ("/a/b", "/"),
        ("/annotated", "/"),
        ("/annotate", "/annotate/"),
        ("/annotate/list", "/annotate/"),
    ] {
        let page = rig.get(uri).await;
        assert_eq!(page.status, 200, "{uri}");
        assert_eq!(page.header("content-type"), Some("text/html; charset=utf-8"), "{uri}");
        let policy = page.header("content-security-policy").unwrap();
        assert!(policy.starts_with("default-src 'none'; script-src 'self'; "), "{policy}");
        assert_eq!(quoted(&page.text, "data-base"), [base]);
        assert_eq!(quoted(&page.text, "script type=\"module\" src"), [format!("{base}static/page.js")]);
    }
}

#[actix_web::test]
async fn a_proxy_says_below_which_path_the_page_is_and_nothing_else() {
    let rig = Rig::new();
    let seen_by = async |prefix: &str| {
        let page = rig.request("GET", "/annotate", "").header("X-Forwarded-Prefix", prefix).send().await;
        assert_eq!(page.header("vary"), Some("x-forwarded-prefix"));
        let of = |word: &str| quoted(&page.text, word).concat();
        (of("data-base="), of("data-root="), of("script type=\"module\" src="))
    };
    let at = |root: &str| {
        (format!("{root}/annotate/"), root.to_owned(), format!("{root}/annotate/static/page.js"))
    };
    for (prefix, root) in [
        ("/ops", "/ops"),
        ("/ops/", "/ops"),
        ("/a.b/c-d_~1", "/a.b/c-d_~1"),
        ("", ""),
        ("/", ""),
        ("ops", ""),
        ("//elsewhere.example", ""),
        ("/a//b", ""),
        ("/\"><script>", ""),
        ("/a b", ""),
        ("/..", ""),
        ("/a/./b", ""),
        ("https://elsewhere.example", ""),
    ] {
        assert_eq!(seen_by(prefix).await, at(root), "{prefix}");
    }
}

#[actix_web::test]
async fn every_file_that_the_page_and_its_modules_load_is_there_and_none_is_elsewhere() {
    let rig = Rig::new();
    for base in ["/", "/annotate/"] {
        let page = rig.get(base).await;
        let mut wanted: Vec<String> = quoted(&page.text, "src=").into_iter().map(str::to_owned).collect();
        wanted.push(format!("{base}static/page.css"));
        let mut seen: Vec<String> = Vec::new();
        while let Some(uri) = wanted.pop() {
            let file = rig.get(&uri).await;
            assert_eq!(file.status, 200, "{uri}");
            let kind = if uri.ends_with(".css") { "text/css" } else { "text/javascript" };
            assert_eq!(file.header("content-type"), Some(format!("{kind}; charset=utf-8").as_str()), "{uri}");
            assert_eq!(file.header("x-content-type-options"), Some("nosniff"));
            for import in quoted(&file.text, " from ") {
                let name = import.strip_prefix("./").unwrap();
                wanted.push(format!("{base}static/{name}"));
            }
            if !seen.contains(&uri) {
                seen.push(uri);
            }
            wanted.retain(|uri| !seen.contains(uri));
        }
        // page, api, dates, element, filters, form, list, timeline, and the style.
        assert_eq!(seen.len(), 9, "{seen:?}");
    }
    for uri in ["/static/js/unknown.js", "/static/", "/annotate/static/page.html", "/static/../page.js"] {
        assert_eq!(rig.get(uri).await.error(404), "not found", "{uri}");
    }
}
