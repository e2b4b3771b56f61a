//! The contract of [`JobStore`](crate::ports::job_store::JobStore).

pub mod changes;
pub mod claim;
pub mod direct;
pub mod end;
pub mod list;
pub mod rescue;
pub mod settle;
pub mod submit;
pub mod usage;

pub(super) mod fixture;

/// Expands to one test per promise of the port, each on a fresh store.
///
/// The argument is a future of a store and of something to keep until the test ends, such as its folder.
#[macro_export]
macro_rules! job_store_conformance {
    ($open:expr) => {
        $crate::job_store_conformance! {
            $open;
            submit::a_submitted_job_waits_with_all_that_was_given
            submit::an_unknown_job_is_not_there
            submit::a_repeated_submit_gives_the_first_job_as_it_stands_now
            submit::a_request_id_with_other_content_is_refused
            submit::two_callers_may_use_the_same_request_id
            submit::jobs_without_request_id_are_never_the_same
            submit::of_concurrent_submits_with_one_request_id_one_is_stored
            submit::a_refused_submit_spares_those_beside_it
            submit::a_job_id_is_not_given_twice
            submit::a_mail_comes_back_as_it_was_given
            submit::a_mail_with_a_thousand_recipients_comes_back_whole
            claim::jobs_are_claimed_by_class_and_then_by_due_time
            claim::a_claim_takes_no_more_than_its_limit
            claim::a_claim_takes_no_more_patient_jobs_than_it_may
            claim::a_claim_leaves_alone_what_it_is_told_to
            claim::a_job_is_claimed_from_its_due_time_on
            claim::an_expired_job_is_not_claimed
            claim::a_deferred_and_a_held_job_are_claimed_when_they_are_due
            claim::a_claim_changes_the_state_and_nothing_else
            claim::a_leased_job_is_not_claimed_again
            claim::concurrent_claims_never_give_one_job_twice
            claim::each_claim_of_a_job_has_a_greater_fence
            settle::a_settlement_is_kept_whole
            settle::an_attempt_that_was_not_judged_is_recorded_but_not_counted
            settle::a_job_that_is_given_back_untried_has_no_attempt
            settle::the_settings_generation_stays_when_an_attempt_used_none
            settle::who_has_accepted_is_known_at_the_next_claim
            settle::a_lost_lease_cannot_settle
            settle::a_lost_lease_cannot_be_extended
            settle::a_lost_lease_cannot_enter_the_body
            settle::a_settled_lease_is_lost
            settle::a_lease_of_an_unknown_job_is_lost
            settle::a_lost_lease_spares_those_settled_beside_it
            settle::the_last_attempts_come_oldest_first
            usage::attempts_of_the_last_minute_are_told_one_by_one
            usage::older_attempts_of_a_day_are_told_in_sums_of_five_minutes
            usage::attempts_long_after_the_question_are_not_told
            usage::only_attempts_that_may_have_reached_the_provider_count
            usage::an_attempt_of_a_dead_node_counts_for_any_mailbox
            usage::what_others_have_under_way_counts_for_any_mailbox
            rescue::a_lease_is_rescued_when_it_ends_and_not_before
            rescue::an_extended_lease_is_rescued_later
            rescue::a_job_whose_body_did_not_go_out_is_due_again
            rescue::a_job_whose_body_may_be_out_is_sent_again_if_its_class_says_so
            rescue::a_job_whose_body_may_be_out_ends_unknown_if_its_class_says_so
            rescue::a_job_that_was_claimed_into_its_body_may_be_out
            rescue::a_body_that_went_out_in_an_earlier_lease_is_forgotten
            rescue::a_job_that_kills_its_nodes_is_given_up
            rescue::who_is_alone_takes_back_all_leases_but_its_own
            rescue::a_rescue_is_on_the_jobs_record
            end::a_waiting_job_can_be_cancelled
            end::a_job_that_does_not_wait_cannot_be_cancelled
            end::an_unknown_job_cannot_be_cancelled
            end::waiting_jobs_expire_when_their_time_to_live_ends
            end::a_job_that_some_recipient_has_accepted_ends_as_sent
            end::a_job_that_is_being_sent_does_not_expire
            end::no_more_jobs_expire_than_the_limit
            end::an_ended_job_is_pruned_with_all_that_belongs_to_it
            end::only_ended_jobs_that_are_old_enough_are_pruned
            end::no_more_jobs_are_pruned_than_the_limit
            end::held_jobs_are_due_after_their_release
            direct::a_held_job_waits_until_it_is_released
            direct::a_held_job_expires_and_can_be_cancelled
            direct::a_released_job_that_was_tried_before_is_deferred
            direct::only_waiting_jobs_can_be_held
            direct::only_jobs_that_a_caller_holds_can_be_released
            direct::a_retried_job_that_waits_is_due_now
            direct::only_jobs_that_wait_for_another_attempt_can_be_retried
            direct::an_unknown_job_is_sent_again_if_a_duplicate_is_allowed
            direct::an_unknown_job_cannot_be_retried_after_its_time_to_live
            direct::a_direction_is_a_change_but_where_nothing_changes
            direct::a_job_that_is_not_there_cannot_be_directed
            list::jobs_are_listed_newest_first_page_by_page
            list::a_list_can_be_narrowed_by_state_and_class
            list::a_list_can_be_narrowed_to_a_time
            list::a_list_can_be_narrowed_to_a_recipient
            list::a_list_can_be_narrowed_by_labels
            list::a_list_looks_at_no_more_jobs_than_it_may
            list::a_page_tells_where_the_next_one_begins
            list::the_backlog_tells_since_when_what_is_urgent_and_what_is_not_could_go
            list::the_backlog_counts_each_kind_of_waiting
            list::the_next_due_time_is_that_of_the_earliest_waiting_job
            changes::every_state_of_a_job_is_there_once
            changes::changes_can_be_read_on_from_any_place
            changes::changes_of_concurrent_writes_are_complete_and_in_order
            changes::the_changes_of_one_job_leave_out_all_others
            changes::the_last_change_is_known_even_after_pruning
            changes::what_is_no_change_of_state_is_no_change
            changes::every_change_wakes_who_waits
        }
    };
    ($open:expr; $($subject:ident::$promise:ident)*) => {
        $(
            #[tokio::test]
            async fn $promise() {
                let (store, _kept) = $open.await;
                $crate::conformance::job_store::$subject::$promise(&store).await;
            }
        )*
    };
}
