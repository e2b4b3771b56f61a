use super::*;

/// Long enough for a machine under load.
const DEADLINE: Duration = Duration::from_secs(10);

async fn check(address: &str, expect: &str) {
    let error = connect(address, DEADLINE, &Credentials::default()).await.unwrap_err();
    assert_eq!(error.to_string(), expect);
}

#[tokio::test]
async fn a_wrong_address_is_told_with_a_right_one() {
    let right = "give one such as `http://127.0.0.1:7587` or `https://node.example.com:7587`";
    check("127.0.0.1:7587", &format!("`127.0.0.1:7587` is no address; {right}")).await;
    check("http://", &format!("`http://` is no address; {right}")).await;
    check("", &format!("`` is no address; {right}")).await;
    check("ftp://a", &format!("`ftp://a` is no address; {right}")).await;
    check("https://", &format!("`https://` is no address; {right}")).await;
}

#[tokio::test]
async fn an_address_where_nobody_listens_is_unreachable() {
    // It is held and does not listen, so that nobody else comes to listen there.
    let silent = tokio::net::TcpSocket::new_v4().unwrap();
    silent.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = format!("http://{}", silent.local_addr().unwrap());

    let error = connect(&address, DEADLINE, &Credentials::default()).await.unwrap_err();

    assert!(matches!(error, ConnectError::Unreachable { .. }), "{error:?}");
    assert_eq!(error.to_string(), format!("no nuncio answers at {address}"));
}

#[tokio::test]
async fn a_server_that_does_not_answer_is_given_up_after_the_deadline() {
    // It accepts the connection, but never speaks HTTP/2.
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let deadline = Duration::from_millis(200);

    let clients = connect(&address, deadline, &Credentials::default()).await.unwrap();
    let call = clients.nodes.clone().list_nodes(crate::v1::ListNodesRequest {}).await;

    assert!(call.is_err());
}
