use super::*;
use crate::v1::ListGuestsRequest;

fn filter(location: &str) -> ListGuestsRequest {
    ListGuestsRequest { location: location.to_owned(), ..ListGuestsRequest::default() }
}

#[test]
fn a_token_leads_behind_the_last_one_of_the_page_before() {
    let token = next_id_page(&filter("Rome"), "erika@example.com");
    let page = id_page(0, &token, &filter("Rome")).unwrap();
    assert_eq!(page, IdPage { limit: PAGE_SIZE, after: Some("erika@example.com".to_owned()) });
    assert_eq!(id_page(5000, "", &filter("")).unwrap(), IdPage { limit: 1000, after: None });
}

#[test]
fn a_token_of_another_filter_or_of_no_list_is_refused() {
    let token = next_id_page(&filter("Rome"), "a");
    let other = id_page(0, &token, &filter("Paris")).unwrap_err();
    assert_eq!(other, ListError::PageToken(PageTokenError::OtherFilter));
    for wrong in ["!", "aQ", "AAAAAAAAAAAAAAAA", &token[..6]] {
        let malformed = id_page(0, wrong, &filter("Rome")).unwrap_err();
        assert_eq!(malformed, ListError::PageToken(PageTokenError::Malformed), "{wrong}");
    }
    assert_eq!(id_page(-1, "", &filter("")).unwrap_err(), ListError::PageSize(-1));
}
