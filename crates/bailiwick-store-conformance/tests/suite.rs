//! The suite on the naive model, and on models with one bug each.

use std::sync::Arc;

use bailiwick_store_conformance::{Bug, ModelEngine, Outcome, cases, run, run_one};

#[tokio::test]
async fn the_model_passes() {
    let report = run(Arc::new(ModelEngine::default())).await;
    assert!(report.0.iter().all(|(_, outcome)| *outcome == Outcome::Passed), "{report}");
}

/// Each bug, and the case that is there to notice it.
const NOTICED: &[(Bug, &str)] = &[
    (Bug::EpochIgnored, "commits::an_epoch_that_is_over_is_refused"),
    (Bug::RevisionIgnored, "commits::what_was_seen_must_still_be_so"),
    (Bug::RevisionForgotten, "commits::the_revision_grows_with_each_part_that_writes"),
    (Bug::RevisionOfEntriesToo, "commits::the_revision_grows_with_each_part_that_writes"),
    (Bug::GuardsIgnored, "commits::a_guard_must_hold"),
    (Bug::BumpForgotten, "tenants::a_bump_adds_one_to_the_epoch"),
    (Bug::VersionsIgnored, "commits::a_version_must_be_the_expected_one"),
    (Bug::VersionsIgnored, "concurrency::a_record_counts_every_success"),
    (Bug::MetaVersionIgnored, "tenants::meta_is_replaced_only_at_its_version"),
    (Bug::CountMaxIgnored, "commits::a_full_space_takes_no_more_records"),
    (Bug::CountsDrift, "commits::counts_follow_the_records"),
    (Bug::SlugReused, "tenants::a_slug_is_never_used_twice"),
    (Bug::SlugReused, "concurrency::one_of_many_creations_wins"),
    (Bug::IdReused, "tenants::an_id_is_never_used_twice"),
    (Bug::PartsNotAtomic, "commits::one_refused_part_refuses_all"),
    (Bug::PartsNotAtomic, "tenancy::a_refused_neighbour_disturbs_nobody"),
    (Bug::RefusalLeavesGap, "ledger::a_refused_commit_leaves_no_gap"),
    (Bug::EdgeOfOneLeafLess, "ledger::the_edge_is_that_of_a_naive_tree"),
    (Bug::SubtreesOfLevelOneOnly, "ledger::large_subtrees_are_there_too"),
    (Bug::ByMovesWakeLater, "wakes::by_keeps_an_earlier_time"),
    (Bug::AtKeepsEarlierWake, "wakes::at_replaces_any_time"),
    (Bug::NeverKeepsWake, "wakes::never_removes_it"),
    (Bug::DueInOrderOfIds, "wakes::the_earliest_come_first"),
    (Bug::AfterIsInclusive, "records::after_is_exclusive_and_need_not_exist"),
    (Bug::AfterIsInclusive, "children::after_is_exclusive_and_need_not_exist"),
    (Bug::PrefixEndOverflows, "records::a_prefix_may_end_in_the_highest_byte"),
    (Bug::PrefixEndOverflows, "children::a_prefix_may_hold_any_byte"),
    (Bug::FoldersRepeat, "children::the_example_of_the_contract_holds"),
    (Bug::FolderHidesKeysBehindIt, "children::names_come_in_byte_order_around_the_slash"),
    (Bug::EraseKeepsRecords, "erasure::only_header_and_tree_remain"),
    (Bug::EraseKeepsSealedBytes, "erasure::only_header_and_tree_remain"),
    (Bug::EraseDropsLeaves, "erasure::only_header_and_tree_remain"),
    (Bug::EraseTakesMeta, "erasure::only_header_and_tree_remain"),
    (Bug::EraseTakesNeighbour, "tenancy::erasing_one_leaves_the_other"),
    (Bug::EraseTakesNeighbour, "history::a_tenant_cannot_tell_whether_the_other_exists"),
    (Bug::ForeignRecordFound, "tenancy::the_same_names_hold_different_things"),
    (Bug::ForeignRecordFound, "tenancy::what_one_has_the_other_lacks"),
    (Bug::PlatformListed, "tenants::the_platform_is_neither_listed_nor_counted"),
    (Bug::SlugsByCreation, "tenants::headers_come_in_order_of_slugs_and_in_pages"),
    (Bug::LastCommitLostOnClose, "reopening::versions_and_epochs_go_on"),
    (Bug::MalformedApplied, "commits::a_malformed_commit_is_refused"),
    (Bug::PastForgotten, "past::a_record_is_known_as_it_was_at_every_size"),
    (Bug::PastIsTheLatest, "past::a_record_is_known_as_it_was_at_every_size"),
    (Bug::PastOutlivesErasure, "past::an_erased_tenant_has_no_past"),
    (Bug::ForgetsWhatIsWanted, "past::the_past_is_forgotten_up_to_a_size"),
    (Bug::PastIsTheNeighbours, "past::what_one_was_the_other_was_not"),
    (Bug::VersionMayStand, "commits::a_version_must_grow"),
    (Bug::WakeHidden, "wakes::the_header_says_when"),
    (Bug::RestoredIgnored, "tenants::a_restored_tenant_has_the_numbers_that_it_had"),
    (Bug::RestoredMayShrink, "tenants::restored_numbers_never_go_back"),
    (Bug::RestoredMayShrink, "history::any_history_reads_as_the_model_says"),
    (Bug::VersionMayStand, "history::any_history_reads_as_the_model_says"),
];

#[tokio::test]
async fn every_bug_is_noticed_by_the_case_that_is_there_for_it() {
    let cases = cases();
    for (bug, name) in NOTICED {
        let case = cases.iter().find(|case| case.name == *name).unwrap();
        for swapped in case.orders() {
            let outcome = run_one(Arc::new(ModelEngine { bug: Some(*bug) }), case.run, *swapped).await;
            assert_eq!(outcome, Outcome::Failed, "{bug:?} passes {name}, swapped: {swapped}");
        }
    }
}
