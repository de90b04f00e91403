//! The cases, each one sentence of the contract.

mod children;
mod commits;
mod concurrency;
mod erasure;
mod health;
mod history;
mod ledger;
mod past;
mod records;
mod reopening;
mod tenancy;
mod tenants;
mod wakes;

use std::future::Future;
use std::pin::Pin;

use crate::World;

/// A case as a function of a fresh world.
pub type Run = fn(World) -> Pin<Box<dyn Future<Output = ()> + Send>>;

/// A named case.
#[derive(Debug, Clone, Copy)]
pub struct Case {
    /// `group::sentence`.
    pub name: &'static str,
    /// What it does.
    pub run: Run,
    is_about_tenancy: bool,
}

impl Case {
    /// Whether the tenants are swapped, for each time that the case is to run.
    pub fn orders(&self) -> &'static [bool] {
        if self.is_about_tenancy { &[false, true] } else { &[false] }
    }
}

macro_rules! table {
    ($($kind:ident $group:ident::$name:ident;)+) => {
        vec![$(Case {
            name: concat!(stringify!($group), "::", stringify!($name)),
            run: |world| Box::pin($group::$name(world)),
            is_about_tenancy: table!(@ $kind),
        }),+]
    };
    (@ once) => { false };
    (@ twice) => { true };
}

/// All cases.
pub fn cases() -> Vec<Case> {
    table! {
        once health::an_idle_store_is_well;

        once tenants::a_new_tenant_is_empty_and_at_epoch_one;
        once tenants::a_creation_may_bring_records_and_entries;
        once tenants::a_creation_bumps_nothing;
        once tenants::a_creation_needs_state_and_meta;
        once tenants::a_slug_is_never_used_twice;
        once tenants::an_id_is_never_used_twice;
        once tenants::two_creations_in_one_commit_need_two_slugs;
        once tenants::a_refused_creation_takes_nothing;
        once tenants::a_slug_is_found_by_its_exact_bytes;
        once tenants::an_unknown_tenant_reads_as_empty;
        once tenants::meta_is_replaced_only_at_its_version;
        once tenants::a_bump_adds_one_to_the_epoch;
        once tenants::state_and_meta_stay_until_they_are_changed;
        once tenants::headers_come_in_order_of_slugs_and_in_pages;
        once tenants::the_platform_is_neither_listed_nor_counted;
        once tenants::a_restored_tenant_has_the_numbers_that_it_had;
        once tenants::restored_numbers_never_go_back;
        once tenants::totals_count_tenants_by_state;

        once commits::an_epoch_that_is_over_is_refused;
        once commits::the_revision_grows_with_each_part_that_writes;
        once commits::what_was_seen_must_still_be_so;
        once commits::what_is_known_is_true_of_its_revision;
        once commits::an_unknown_tenant_is_refused;
        once commits::existence_holds_under_any_epoch;
        once commits::a_guard_must_hold;
        once commits::an_absent_record_must_be_absent;
        once commits::a_version_must_be_the_expected_one;
        once commits::a_version_must_grow;
        once commits::a_removed_record_is_absent;
        once commits::absence_alone_can_be_insisted_on;
        once commits::a_malformed_commit_is_refused;
        once commits::a_full_space_takes_no_more_records;
        once commits::a_full_space_still_takes_changes;
        once commits::room_is_counted_in_order_of_writes;
        once commits::counts_follow_the_records;
        once commits::epochs_are_checked_before_versions;
        once commits::parts_are_applied_together;
        once commits::one_refused_part_refuses_all;
        once commits::a_commit_of_nothing_passes;

        once records::a_record_reads_back_as_written;
        once records::values_may_be_large_or_empty;
        once records::keys_may_hold_any_byte_and_come_in_byte_order;
        once records::a_list_keeps_to_its_prefix;
        once records::a_prefix_may_end_in_the_highest_byte;
        once records::after_is_exclusive_and_need_not_exist;
        once records::pages_cover_a_list_exactly_once;
        once records::spaces_are_apart;

        once children::the_example_of_the_contract_holds;
        once children::names_come_in_byte_order_around_the_slash;
        once children::a_name_may_be_both_a_key_and_a_folder;
        once children::after_is_exclusive_and_need_not_exist;
        once children::pages_cover_a_folder_exactly_once;
        once children::a_prefix_may_hold_any_byte;
        once children::a_key_that_is_the_prefix_has_no_name;
        once children::a_large_folder_is_one_name;

        once ledger::entries_are_numbered_in_order_without_gaps;
        once ledger::entries_come_in_pages;
        once ledger::the_edge_is_that_of_a_naive_tree;
        once ledger::a_subtree_is_there_with_the_commit_that_completes_it;
        once ledger::large_subtrees_are_there_too;
        once ledger::leaves_that_do_not_exist_are_damage;
        once ledger::a_commit_without_entries_leaves_the_ledger;
        once ledger::a_refused_commit_leaves_no_gap;
        once ledger::an_entry_may_come_without_its_sealed_bytes;

        once past::a_record_is_known_as_it_was_at_every_size;
        once past::every_space_that_keeps_its_past_does_and_no_other;
        once past::commits_without_entries_count_as_the_next_one;
        once past::the_past_comes_in_pages;
        once past::a_refused_commit_leaves_no_past;
        once past::the_past_is_forgotten_up_to_a_size;
        once past::much_is_forgotten_too;
        once past::an_erased_tenant_has_no_past;
        once past::the_past_is_found_again;
        twice past::what_one_was_the_other_was_not;

        once wakes::a_tenant_is_due_at_its_time;
        once wakes::by_keeps_an_earlier_time;
        once wakes::at_replaces_any_time;
        once wakes::never_removes_it;
        once wakes::the_earliest_come_first;
        once wakes::the_platform_can_be_due;
        once wakes::the_header_says_when;

        once erasure::only_header_and_tree_remain;
        once erasure::it_can_be_repeated;
        once erasure::an_unknown_tenant_is_nothing_to_erase;
        once erasure::much_is_erased_too;
        once erasure::the_tenant_goes_on_afterwards;
        once erasure::slug_and_id_stay_taken;

        twice tenancy::the_same_names_hold_different_things;
        twice tenancy::what_one_has_the_other_lacks;
        twice tenancy::nothing_that_one_does_shows_in_the_other;
        twice tenancy::epochs_are_apart;
        twice tenancy::versions_are_apart;
        twice tenancy::counts_are_apart;
        twice tenancy::erasing_one_leaves_the_other;
        twice tenancy::pages_end_where_the_tenant_ends;
        twice tenancy::a_refused_neighbour_disturbs_nobody;

        once concurrency::many_tasks_on_many_tenants_leave_no_gaps;
        once concurrency::a_record_counts_every_success;
        once concurrency::one_of_many_bumps_wins;
        once concurrency::one_of_many_creations_wins;
        once concurrency::an_acknowledged_commit_can_be_read_at_once;
        once concurrency::an_abandoned_commit_is_whole_or_absent;

        once reopening::everything_is_found_again;
        once reopening::versions_and_epochs_go_on;

        once history::any_history_reads_as_the_model_says;
        twice history::a_tenant_cannot_tell_whether_the_other_exists;
    }
}
