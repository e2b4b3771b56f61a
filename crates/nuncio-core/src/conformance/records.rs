//! The contract of [`RecordStore`](crate::ports::records::RecordStore).

pub mod commit;
pub mod due;
pub mod jobs;
pub mod list;
pub mod model;

mod fixture;

/// Expands to one test per promise of the port, each on a fresh store, which keeps jobs too.
///
/// The argument is a future of a store and of something to keep until the test ends, such as its folder.
#[macro_export]
macro_rules! record_store_conformance {
    ($open:expr) => {
        $crate::record_store_conformance! {
            $open;
            commit::a_record_comes_back_as_it_was_put
            commit::a_version_grows_with_each_put
            commit::a_record_that_was_deleted_is_not_there
            commit::a_write_is_only_done_if_the_record_is_as_expected
            commit::a_requirement_changes_nothing
            commit::all_is_done_or_nothing
            commit::a_key_that_stands_twice_is_refused
            commit::what_is_longer_than_it_may_is_refused
            commit::a_changeset_of_the_greatest_size_is_taken
            commit::an_empty_changeset_is_taken
            commit::records_of_another_kind_are_other_records
            commit::any_text_comes_back_as_it_was_given
            commit::times_are_kept_to_the_microsecond
            commit::of_concurrent_writes_on_one_version_one_is_done
            commit::of_concurrent_first_writes_one_is_done
            commit::concurrent_writes_that_expect_nothing_are_all_done
            commit::a_refused_changeset_spares_those_beside_it
            commit::every_changeset_wakes_who_waits
            commit::a_quiet_changeset_wakes_nobody
            jobs::jobs_are_stored_with_the_records
            jobs::a_known_request_gives_its_job_and_the_records_are_written
            jobs::a_reused_request_id_leaves_all_undone
            jobs::a_request_may_stand_twice_in_one_changeset
            jobs::a_job_id_that_is_taken_leaves_all_undone
            jobs::a_conflict_leaves_jobs_undone
            jobs::only_waiting_jobs_are_cancelled
            jobs::a_changeset_with_many_jobs_is_taken
            jobs::of_concurrent_changesets_with_one_request_id_one_stores_the_job
            list::records_are_listed_by_id_page_by_page
            list::a_list_can_be_narrowed_to_an_owner
            list::a_changed_owner_moves_the_record
            list::records_are_read_in_their_places
            list::records_are_counted_by_kind
            due::due_records_come_earliest_first_page_by_page
            due::records_are_due_at_their_moment_and_not_before
            due::a_record_that_is_put_again_is_due_when_it_says_then
            due::the_next_due_time_is_that_of_the_earliest_record
            model::random_changesets_come_to_what_a_model_says
        }
    };
    ($open:expr; $($subject:ident::$promise:ident)*) => {
        $(
            #[tokio::test]
            async fn $promise() {
                let (store, _kept) = $open.await;
                $crate::conformance::records::$subject::$promise(&store).await;
            }
        )*
    };
}
