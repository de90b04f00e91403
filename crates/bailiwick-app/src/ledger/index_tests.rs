use std::collections::BTreeSet;

use bailiwick_ledger::entry::{Actor, ActorKind, Decision, EntryResource, V1};

use super::*;

fn entry(number: u16) -> Entry {
    let of = |words: &[&str], every: u16| words[usize::from(number / every) % words.len()].to_owned();
    let actor = of(&["mbr_a", "acc_b", "agt_c", ""], 1);
    Entry {
        v: V1,
        tenant: "ten_x".to_owned(),
        time: Timestamp::from_unix_ms(i64::from(number) * 10),
        request: format!("req_{number}"),
        actor: Actor {
            kind: ActorKind::Service,
            id: (!actor.is_empty()).then_some(actor),
            credential: None,
            operator: None,
        },
        source: None,
        door: "api".into(),
        action: of(&["secret:reveal", "secret:write", "policy:list", "auth:refused"], 3).into(),
        resource: EntryResource {
            kind: "Secret".into(),
            id: of(&["secret/app/db", "secret/app/deep/er/db", "secret", "/", "", "a/b/c/d/e/f/g/h/i/j/k"], 5),
            version: None,
        },
        decision: [Decision::Allow, Decision::Deny, Decision::None][usize::from(number / 7 % 3)],
        policies: Vec::new(),
        outcome: of(&["ok", "denied", "absent"], 11).into(),
        code: None,
        detail: BTreeMap::new(),
        salt: String::new(),
    }
}

fn filters() -> Vec<Filter> {
    let some = |word: &str| Some(word.to_owned());
    let mut filters = vec![
        Filter { request: some("req_77"), ..Filter::default() },
        Filter { actor: some("acc_b"), action: some("secret:"), decision: some("deny"), ..Filter::default() },
        Filter { resource: some("secret/*"), outcome: some("absent"), ..Filter::default() },
    ];
    filters.extend(["mbr_a", "", "nobody"].map(|actor| Filter { actor: some(actor), ..Filter::default() }));
    filters.extend(["secret:reveal", "secret:", "policy:"].map(|a| Filter { action: some(a), ..Filter::default() }));
    filters.extend(["ok", "denied"].map(|outcome| Filter { outcome: some(outcome), ..Filter::default() }));
    filters.extend(["allow", "deny", "none"].map(|word| Filter { decision: some(word), ..Filter::default() }));
    let resources = [
        "secret",
        "",
        "secret/app/db",
        "secret*",
        "secret/a*",
        "secret/app/*",
        "*",
        "/*",
        "a/b/c/d/e/f/g/h/i/j*",
        "x/*",
    ];
    filters.extend(resources.map(|resource| Filter { resource: some(resource), ..Filter::default() }));
    filters
}

/// The places that the rows give for a mark.
fn places(rows: &[(u8, Vec<u8>)], mark: Mark) -> BTreeSet<u16> {
    let mut rows = rows.iter().filter(|(number, _)| *number == mark.row());
    let (row, None) = (rows.next().unwrap(), rows.next()) else { panic!("a row twice") };
    Row::parse(&row.1).unwrap().places(mark).unwrap().iter().collect()
}

#[test]
fn whatever_a_filter_accepts_has_its_marks() {
    let entries: Vec<Entry> = (0..1_000).map(entry).collect();
    let mut segment = Segment::new();
    for (place, entry) in (0..).zip(&entries) {
        segment.add(place, entry);
    }
    let rows: Vec<_> = segment.rows().collect();
    assert_eq!(rows.len(), usize::from(ROWS));
    for filter in filters() {
        let fits = |place: u16| filter.fits(&entries[usize::from(place)], "nobody");
        let wanted = wanted(&filter);
        for mark in &wanted {
            let found = places(&rows, *mark);
            let missed = (0..1_000).find(|place| fits(*place) && !found.contains(place));
            assert_eq!(missed, None, "{filter:?}");
        }
        // A path and a word are found exactly; nothing in these filters has another's mark.
        let both = wanted.iter().map(|mark| places(&rows, *mark)).reduce(|all, next| &all & &next);
        let is_exact = filter.resource.as_deref().is_none_or(|wanted| !wanted.ends_with('*') || wanted.ends_with("/*"));
        if let Some(both) = both.filter(|_| is_exact) {
            assert!(both.into_iter().all(fits), "{filter:?}");
        }
    }
}

#[test]
fn whatever_a_filter_accepts_has_its_texts() {
    let some = |word: &str| Some(word.to_owned());
    let mut filters = filters();
    // What is escaped in an entry is not looked for in its bytes.
    let escaped = ["a\"b", "a\\b", "a\nb", "ä/b", ""];
    filters.extend(escaped.map(|resource| Filter { resource: some(resource), ..Filter::default() }));
    let mut entries: Vec<Entry> = (0..1_000).map(entry).collect();
    entries.extend(escaped.map(|resource| {
        let mut entry = entry(0);
        entry.resource.id = resource.to_owned();
        entry
    }));
    for filter in &filters {
        for entry in entries.iter().filter(|entry| filter.fits(entry, "nobody")) {
            let bytes = String::from_utf8(entry.canonical()).unwrap();
            assert!(filter.texts().iter().all(|text| bytes.contains(text)), "{filter:?} {bytes}");
        }
    }
    assert_eq!(filters[1].texts(), ["acc_b"]);
    assert_eq!(filters[2].texts(), ["secret/"]);
    assert!(filters.iter().rev().take(escaped.len()).all(|filter| filter.texts().is_empty()));
}

#[test]
fn what_nearly_every_entry_has_is_no_help() {
    let some = |word: &str| Some(word.to_owned());
    assert_eq!(wanted(&Filter::default()), []);
    assert_eq!(wanted(&Filter { outcome: some("ok"), decision: some("allow"), ..Filter::default() }).len(), 0);
    assert_eq!(wanted(&Filter { resource: some("sec*"), actor: some(""), ..Filter::default() }).len(), 0);
}

#[test]
fn a_mark_is_looked_for_in_the_row_that_it_is_in() {
    let mut segment = Segment::new();
    (0..500).for_each(|number| segment.add(number, &entry(number)));
    let words = segment.places.clone();
    let rows: Vec<_> = segment.rows().collect();
    assert!(rows.iter().map(|(number, _)| *number).eq(FIRST_ROW..FIRST_ROW + ROWS));
    for (word, list) in &words {
        let mark = Mark::of_word(word);
        assert_eq!(places(&rows, mark), list.iter().copied().collect());
        // One that differs in a bit of the hash is another word.
        let other = Mark { hash: [mark.hash[0], mark.hash[1], mark.hash[2], mark.hash[3] ^ 1], ..mark };
        assert_eq!(places(&rows, other), BTreeSet::new());
    }
}

#[test]
fn two_words_of_one_mark_are_found_at_the_places_of_both() {
    let [one, other] = ["acc_79103", "acc_153944"];
    let mark = Mark::of(Kind::Actor, one);
    assert_eq!(mark, Mark::of(Kind::Actor, other));
    let mut segment = Segment::new();
    for (place, actor) in [one, other, "acc_1", other, one].into_iter().enumerate() {
        let mut entry = entry(0);
        entry.actor.id = Some(actor.to_owned());
        segment.add(u16::try_from(place).unwrap(), &entry);
    }
    assert_eq!(places(&segment.rows().collect::<Vec<_>>(), mark), BTreeSet::from([0, 1, 3, 4]));
}

#[test]
fn ids_of_requests_keep_out_of_the_rows_of_words() {
    let mut segment = Segment::new();
    (0..4_096).for_each(|number| segment.add(number, &entry(number)));
    let (words, requests): (Vec<_>, Vec<_>) = segment.rows().partition(|(number, _)| *number < FIRST_ROW + WORD_ROWS);
    let bytes = |rows: &[(u8, Vec<u8>)]| rows.iter().map(|(_, row)| row.len()).sum::<usize>();
    // Each request has a place and what stands for it.
    assert_eq!(bytes(&requests), 4_096 * 6 + usize::from(REQUEST_ROWS) * 17);
    assert!(requests.iter().all(|(_, row)| row.len() < 1_000));
    // Of each kind an entry has one word, about; the bits of a word that many have are few.
    assert!(bytes(&words) < 4_096 * 5, "{}", bytes(&words));
}

#[test]
fn a_row_knows_from_when_to_when_it_is_whatever_the_clock_did() {
    let mut segment = Segment::new();
    for (place, number) in (0..).zip([50, 90, 10, 70]) {
        segment.add(place, &entry(number));
    }
    let rows: Vec<_> = segment.rows().collect();
    let at = |ms| Some(Timestamp::from_unix_ms(ms));
    for row in rows.iter().map(|(_, row)| Row::parse(row).unwrap()) {
        assert!(row.is_within(None, None) && row.is_within(at(900), None) && row.is_within(None, at(101)));
        assert!(!row.is_within(at(901), None) && !row.is_within(None, at(100)));
    }
}

#[test]
fn a_row_that_is_cut_anywhere_or_of_another_format_is_damaged() {
    let mut segment = Segment::new();
    (0..20).for_each(|number| segment.add(number, &entry(number)));
    let (number, row) = segment.rows().max_by_key(|(_, row)| row.len()).unwrap();
    let absent = Mark { row: number, hash: [0; 4] };
    let lists = |bytes: &[u8]| Row::parse(bytes).and_then(|row| row.places(absent));
    assert_eq!(lists(&row), Some(Places::none()));
    // Where a list ends the row could have ended.
    let damaged = (0..row.len()).filter(|len| lists(&row[..*len]).is_none()).count();
    assert!(damaged > row.len() / 2, "{damaged} of {}", row.len());
    assert!(Row::parse(&[&[1], &row[1..]].concat()).is_none());
}
