"""Shows that the real servers answer as the tests expect, with nothing but Python's own client, openssl and etcdctl.

Run by `cargo xtask servers --check`. When a test of nuncio fails and this passes, the fault is nuncio's.
"""

import base64
import json
import os
import smtplib
import ssl
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
import uuid
from pathlib import Path

DEADLINE_S = 15
SETTINGS = dict(line.split("=", 1) for line in Path(sys.argv[1]).read_text().splitlines())
CONTEXT = ssl.create_default_context(cafile=SETTINGS["CA_FILE"])
HOST = SETTINGS["HOST"]
MAILBOX = SETTINGS["MAILBOX"]


def main():
    checks = [check for name, check in globals().items() if name.startswith("check_")]
    for check in checks:
        check()
        print(f"    ok: {check.__name__.removeprefix('check_').replace('_', ' ')}")


def check_each_client_authentication_gets_a_token():
    for client in ("svc-post", "svc-basic", "svc-pkjwt"):
        status, answer = token_answer(client)
        assert (status, answer.get("token_type"), answer.get("expires_in")) == (200, "Bearer", 600), (client, answer)


def check_the_scope_of_exchange_online_is_granted():
    status, answer = token_answer("svc-post", scope="https://outlook.office365.com/.default")
    assert status == 200, answer
    with logged_in(token=answer["access_token"]) as smtp:
        assert smtp.noop()[0] == 250


def check_a_wrong_and_an_expired_secret_are_told_apart():
    status, answer = token_answer("svc-post", secret="wrong")
    assert (status, answer["error"]) == (401, "invalid_client"), (status, answer)
    status, answer = token_answer("svc-secret-expired")
    assert (status, answer["error"]) == (400, "invalid_client"), (status, answer)
    assert "expired" in answer["error_description"], answer


def check_the_token_endpoint_has_faults_to_offer():
    url = SETTINGS["OAUTH_ISSUER"] + "/fault/{}/token"
    assert token_answer("svc-post", url=url.format("status-429"))[0] == 429
    assert token_answer("svc-post", url=url.format("delay-50"))[0] == 200
    for expected in (503, 200):
        assert token_answer("svc-post", url=url.format("first-1-probe"))[0] == expected
    try:
        token_answer("svc-post", url=url.format("reset"))
    except (ConnectionError, urllib.error.URLError, ssl.SSLError):
        return
    raise AssertionError("the connection was not reset")


def check_a_mail_arrives_by_every_way_in():
    ways = [
        logged_in(),
        logged_in("OAUTHBEARER"),
        logged_in(smtp=smtplib.SMTP_SSL(HOST, port("SMTP_TLS_PORT"), context=CONTEXT)),
        logged_in(smtp=starttls("SMTP_BARE_PORT")),
        starttls("SMTP_RELAY_PORT"),
        with_password(),
    ]
    for smtp in ways:
        send_and_find(smtp, SETTINGS["MAIL_DIR"])
    send_and_find(logged_in(smtp=starttls("NODE_SMTP_PORT")), SETTINGS["NODE_MAIL_DIR"])
    opaque = token_answer("svc-opaque")[1]["access_token"]
    assert "." not in opaque
    send_and_find(logged_in(smtp=starttls("NODE_SMTP_PORT"), token=opaque), SETTINGS["NODE_MAIL_DIR"])


def check_bad_tokens_are_refused_with_a_reason():
    status_of = {"SMTP_STARTTLS_PORT": "401", "NODE_SMTP_PORT": "400"}
    short = token("svc-short")
    time.sleep(3)
    good = token("svc-post")
    bad = {
        "expired": short,
        "wrong scope": token("svc-nomail"),
        "other user": token("svc-otheruser"),
        "bad signature": good[:-8] + "AAAAAAAA",
        "garbage": "a.b.c",
    }
    for name, expected in status_of.items():
        for what, value in bad.items():
            challenge, code = refused_auth(name, value)
            # Dovecot says why a token is bad, but since a security update not that it is somebody else's.
            if what == "other user" and challenge is None:
                assert (name, code) == ("SMTP_STARTTLS_PORT", 535), (name, code)
                continue
            assert (challenge["status"], code) == (expected, 535), (name, what, challenge, code)


def check_recipients_and_senders_answer_as_named():
    smtp = logged_in()
    expected = {"defer": 450, "full": 452, "nobody": 550, "somebody": 250}
    assert smtp.mail(MAILBOX)[0] == 250
    for name, code in expected.items():
        assert smtp.rcpt(f"{name}@example.test")[0] == code, name
    assert smtp.rcpt("drop@example.test")[0] == 421
    smtp.close()
    smtp = logged_in()
    for sender, code in ((SETTINGS["SHARED_MAILBOX"], 250), (SETTINGS["OTHER_MAILBOX"], 553)):
        smtp.mail(sender)
        assert smtp.rcpt("somebody@example.test")[0] == code, sender
        smtp.rset()
    smtp.quit()
    smtp = starttls("SMTP_STARTTLS_PORT")
    smtp.mail(MAILBOX)
    assert smtp.rcpt("somebody@example.test")[0] == 554


def check_auth_and_mail_need_starttls():
    smtp = smtplib.SMTP(HOST, port("SMTP_STARTTLS_PORT"))
    smtp.ehlo()
    assert not smtp.has_extn("auth")
    assert smtp.docmd("MAIL", f"FROM:<{MAILBOX}>")[0] == 530


def check_a_bare_server_offers_nothing_more():
    smtp = starttls("SMTP_BARE_PORT")
    assert list(smtp.esmtp_features) == ["auth"], smtp.esmtp_features


def check_bad_certificates_are_bad():
    expected = {"EXPIRED": "expired", "WRONG_NAME": "mismatch", "SELF_SIGNED": "self-signed"}
    for name, reason in expected.items():
        for attempt in (
            lambda: starttls(f"SMTP_{name}_PORT"),
            lambda: token_answer("svc-post", url=f"https://{HOST}:{port(f'OAUTH_{name}_PORT')}/token"),
        ):
            try:
                attempt()
            except (ssl.SSLError, urllib.error.URLError) as error:
                assert reason in str(error), (name, error)
            else:
                raise AssertionError(f"the certificate {name} was accepted")


def check_etcd_knows_its_users_by_their_certificates():
    key, value = f"/nuncio/probe/{uuid.uuid4()}", str(uuid.uuid4())
    assert etcdctl("PAN", "put", key, value) == "OK\n"
    for user in ("PAN", "PSN", "ROOT"):
        assert etcdctl(user, "get", "--print-value-only", key) == f"{value}\n", user
    try:
        urllib.request.urlopen(SETTINGS["ETCD_ENDPOINT"] + "/health", context=CONTEXT, timeout=DEADLINE_S)
    except (ssl.SSLError, urllib.error.URLError) as error:
        assert "certificate" in str(error), error
        return
    raise AssertionError("a client without a certificate was accepted")


def check_etcd_refuses_what_a_user_may_not():
    denied = [
        ("PSN", "put", "/nuncio/settings/probe", "value"),
        ("PSN", "put", "/nuncio/probe", "value"),
        ("PSN", "get", "/other/probe"),
        ("PAN", "put", "/other/probe", "value"),
        ("PAN", "user", "list"),
    ]
    for words in denied:
        answer = etcdctl(*words)
        assert "permission denied" in answer, (words, answer)


def port(name):
    return int(SETTINGS[name])


def token(client):
    status, answer = token_answer(client)
    assert status == 200, (client, answer)
    return answer["access_token"]


def token_answer(client, secret=None, scope=None, url=None):
    url = url or SETTINGS["OAUTH_TOKEN_URL"]
    form = {"grant_type": "client_credentials", "scope": scope or SETTINGS["OAUTH_SCOPE"]}
    headers = {}
    if client == "svc-pkjwt":
        form["client_assertion_type"] = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
        form["client_assertion"] = assertion(client)
    else:
        secret = secret or SETTINGS["SECRET_" + client.upper().replace("-", "_")]
        if client == "svc-basic":
            headers["Authorization"] = "Basic " + base64.b64encode(f"{client}:{secret}".encode()).decode()
        else:
            form |= {"client_id": client, "client_secret": secret}
    request = urllib.request.Request(url, urllib.parse.urlencode(form).encode(), headers)
    try:
        with urllib.request.urlopen(request, context=CONTEXT, timeout=DEADLINE_S) as response:
            return response.status, json.load(response)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


def assertion(client):
    now = int(time.time())
    thumbprint = subprocess.run(
        f"openssl x509 -in {SETTINGS['CLIENT_CERT_FILE']} -outform DER | openssl dgst -sha256 -binary",
        shell=True, check=True, capture_output=True,
    ).stdout
    header = {"alg": "PS256", "typ": "JWT", "x5t#S256": base64url(thumbprint)}
    claims = {
        "iss": client, "sub": client, "aud": SETTINGS["OAUTH_TOKEN_URL"],
        "jti": str(uuid.uuid4()), "iat": now, "exp": now + 60,
    }
    signed = ".".join(base64url(json.dumps(part).encode()) for part in (header, claims))
    signature = subprocess.run(
        ["openssl", "dgst", "-sha256", "-sign", SETTINGS["CLIENT_KEY_FILE"],
         "-sigopt", "rsa_padding_mode:pss", "-sigopt", "rsa_pss_saltlen:digest"],
        input=signed.encode(), check=True, capture_output=True,
    ).stdout
    return f"{signed}.{base64url(signature)}"


def base64url(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def starttls(name):
    smtp = smtplib.SMTP(HOST, port(name), timeout=DEADLINE_S)
    smtp.starttls(context=CONTEXT)
    smtp.ehlo()
    return smtp


def logged_in(mechanism="XOAUTH2", smtp=None, token=None):
    smtp = smtp or starttls("SMTP_STARTTLS_PORT")
    smtp.ehlo()
    code, text = smtp.docmd("AUTH", mechanism)
    assert code == 334, (code, text)
    code, text = smtp.docmd(encoded(mechanism, token or globals()["token"]("svc-post")))
    assert code == 235, (code, text)
    return smtp


def with_password():
    smtp = starttls("SMTP_PLAIN_PORT")
    smtp.login(SETTINGS["PLAIN_USER"], SETTINGS["PLAIN_PASSWORD"])
    return smtp


def encoded(mechanism, token):
    text = {
        "XOAUTH2": f"user={MAILBOX}\x01auth=Bearer {token}\x01\x01",
        "OAUTHBEARER": f"n,a={MAILBOX},\x01auth=Bearer {token}\x01\x01",
    }[mechanism]
    return base64.b64encode(text.encode()).decode()


def refused_auth(port_name, token):
    smtp = starttls(port_name)
    smtp.docmd("AUTH", "XOAUTH2")
    code, text = smtp.docmd(encoded("XOAUTH2", token))
    if code == 535:
        return None, code
    assert code == 334, (code, text)
    challenge = json.loads(base64.b64decode(text))
    code, _text = smtp.docmd("")
    return challenge, code


def etcdctl(user, *words):
    """What it prints, or what it says where it fails."""
    settings = {
        "ETCDCTL_API": "3",
        "ETCDCTL_ENDPOINTS": SETTINGS["ETCD_ENDPOINT"],
        "ETCDCTL_CACERT": SETTINGS["CA_FILE"],
        "ETCDCTL_CERT": SETTINGS[f"ETCD_{user}_CERT_FILE"],
        "ETCDCTL_KEY": SETTINGS[f"ETCD_{user}_KEY_FILE"],
    }
    run = subprocess.run(
        ["etcdctl", *words], env=os.environ | settings, capture_output=True, text=True, timeout=DEADLINE_S
    )
    return run.stderr if run.returncode else run.stdout


def send_and_find(smtp, mail_dir):
    subject = str(uuid.uuid4())
    recipient = f"probe-{subject}@example.test"
    smtp.sendmail(MAILBOX, [recipient], f"From: {MAILBOX}\r\nTo: {recipient}\r\nSubject: {subject}\r\n\r\nHello\r\n")
    smtp.quit()
    arrived = Path(mail_dir, recipient, "Maildir", "new")
    deadline = time.monotonic() + DEADLINE_S
    while not (arrived.is_dir() and list(arrived.iterdir())):
        assert time.monotonic() < deadline, f"no mail in {arrived}"
        time.sleep(0.05)
    assert f"Subject: {subject}" in next(arrived.iterdir()).read_text()


if __name__ == "__main__":
    main()
