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
        door: "api".to_owned(),
        action: of(&["secret:reveal", "secret:write", "policy:list", "auth:refused"], 3),
        resource: EntryResource {
            kind: "Secret".to_owned(),
            id: of(&["secret/app/db", "secret/app/deep/er/db", "secret", "/", "", "a/b/c/d/e/f/g/h/i/j/k"], 5),
            version: None,
        },
        decision: [Decision::Allow, Decision::Deny, Decision::None][usize::from(number / 7 % 3)],
        policies: Vec::new(),
        outcome: of(&["ok", "denied", "absent"], 11),
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

/// The places that the rows give for a group of marks.
fn places(rows: &[Vec<u8>], group: &[Mark]) -> BTreeSet<u16> {
    let rows = rows.iter().map(|row| Row::parse(row).unwrap());
    rows.flat_map(|row| row.places(group).unwrap()).collect()
}

#[test]
fn whatever_a_filter_accepts_has_its_marks() {
    let entries: Vec<Entry> = (0..1_000).map(entry).collect();
    let mut segment = Segment::new();
    for (place, entry) in (0..).zip(&entries) {
        segment.add(place, entry);
    }
    let rows = segment.rows();
    assert_eq!(rows.len(), usize::from(ROWS));
    for filter in filters() {
        let fits = |place: u16| filter.fits(&entries[usize::from(place)], "nobody");
        let wanted = wanted(&filter);
        for group in &wanted {
            let found = places(&rows, group);
            let missed = (0..1_000).find(|place| fits(*place) && !found.contains(place));
            assert_eq!(missed, None, "{filter:?}");
        }
        // A path and a word are found exactly; nothing in these filters has another's mark.
        let both = wanted.iter().map(|group| places(&rows, group)).reduce(|all, next| &all & &next);
        let is_exact = filter.resource.as_deref().is_none_or(|wanted| !wanted.ends_with('*') || wanted.ends_with("/*"));
        if let Some(both) = both.filter(|_| is_exact) {
            assert!(both.into_iter().all(fits), "{filter:?}");
        }
    }
}

#[test]
fn what_nearly_every_entry_has_is_no_help() {
    let some = |word: &str| Some(word.to_owned());
    assert_eq!(wanted(&Filter::default()), Vec::<Vec<Mark>>::new());
    assert_eq!(wanted(&Filter { outcome: some("ok"), decision: some("allow"), ..Filter::default() }).len(), 0);
    assert_eq!(wanted(&Filter { resource: some("sec*"), actor: some(""), ..Filter::default() }).len(), 0);
}

#[test]
fn a_mark_is_looked_for_in_the_row_that_it_is_in() {
    let mut segment = Segment::new();
    (0..500).for_each(|number| segment.add(number, &entry(number)));
    for (number, row) in (0..).zip(segment.rows()) {
        let mine = |mark: &&Mark| mark.row() == number;
        let (mine, others): (Vec<&Mark>, Vec<&Mark>) = segment.places.keys().partition(mine);
        let row = Row::parse(&row).unwrap();
        assert!(!mine.is_empty() && mine.iter().all(|mark| !row.places(&[**mark]).unwrap().is_empty()));
        assert!(others.iter().all(|mark| row.places(&[**mark]).unwrap().is_empty()));
    }
}

#[test]
fn a_row_knows_from_when_to_when_it_is_whatever_the_clock_did() {
    let mut segment = Segment::new();
    for (place, number) in (0..).zip([50, 90, 10, 70]) {
        segment.add(place, &entry(number));
    }
    let rows = segment.rows();
    let at = |ms| Some(Timestamp::from_unix_ms(ms));
    for row in rows.iter().map(|row| Row::parse(row).unwrap()) {
        assert!(row.is_within(None, None) && row.is_within(at(900), None) && row.is_within(None, at(101)));
        assert!(!row.is_within(at(901), None) && !row.is_within(None, at(100)));
    }
}

#[test]
fn a_row_that_is_cut_anywhere_or_of_another_format_is_damaged() {
    let mut segment = Segment::new();
    (0..20).for_each(|number| segment.add(number, &entry(number)));
    let rows = segment.rows();
    let row = rows.iter().max_by_key(|row| row.len()).unwrap();
    let lists = |bytes: &[u8]| Row::parse(bytes).and_then(|row| row.places(&[]));
    assert_eq!(lists(row), Some(Vec::new()));
    // Where a list ends the row could have ended.
    let damaged = (0..row.len()).filter(|len| lists(&row[..*len]).is_none()).count();
    assert!(damaged > row.len() / 2, "{damaged} of {}", row.len());
    assert!(Row::parse(&[&[2], &row[1..]].concat()).is_none());
}
