"""Tests client.py against a server that plays a script. Needs the stubs and no nuncio.

Usage: NUNCIO_STUBS=stubs python -m unittest test_client.py
"""

import concurrent.futures
import contextlib
import io
import os
import sys
import unittest

import grpc
from google.protobuf import any_pb2, duration_pb2
from google.rpc import code_pb2, error_details_pb2, status_pb2

STUBS = os.environ.get("NUNCIO_STUBS", "stubs")
sys.path.insert(0, STUBS)

import client
from nuncio.v1 import mail_job_pb2 as pb
from nuncio.v1 import mail_job_pb2_grpc as pb_grpc

NAME = "mailJobs/0192f0c1-0000-7000-8000-000000000001"


def job(state, **fields):
    return pb.MailJob(name=NAME, state=state, **fields)


def fail(context, code, message, *details):
    """Ends the call as nuncio does: a status with details in the trailing metadata."""
    packed = []
    for detail in details:
        any = any_pb2.Any()
        any.Pack(detail)
        packed.append(any)
    status = status_pb2.Status(code=code_pb2.Code.Value(code.name), message=message, details=packed)
    context.set_trailing_metadata((("grpc-status-details-bin", status.SerializeToString()),))
    context.abort(code, message)


class Script(pb_grpc.MailJobServiceServicer):
    """Answers submits and watches, in turn, with what the test gave it; keeps what it was asked."""

    def __init__(self, submits, watches=()):
        self.submits, self.watches = list(submits), list(watches)
        self.submitted, self.resumed, self.metadata = [], [], []

    def CreateMailJob(self, request, context):
        self.submitted.append(request)
        self.metadata.append(dict(context.invocation_metadata()))
        answer = self.submits.pop(0)
        if callable(answer):
            answer(context)
        return pb.CreateMailJobResponse(mail_job=answer)

    def WatchMailJobs(self, request, context):
        self.resumed.append(request.resume_token)
        for token, answer in self.watches.pop(0):
            if callable(answer):
                answer(context)
            yield pb.WatchMailJobsResponse(mail_job=answer, resume_token=token)


def run(script, *more):
    """Runs the client against the script; gives exit code, stdout and stderr as lines."""
    server = grpc.server(concurrent.futures.ThreadPoolExecutor(max_workers=4))
    pb_grpc.add_MailJobServiceServicer_to_server(script, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    argv = ["--target", f"127.0.0.1:{port}", "--stubs", STUBS, "--subject", "hello"]
    argv += ["--to", "guest@example.com", "--timeout", "20", *more]
    out, err = io.StringIO(), io.StringIO()
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code = client.main(argv)
    finally:
        server.stop(None)
    return code, out.getvalue().splitlines(), err.getvalue().splitlines()


def unavailable(context):
    retry = error_details_pb2.RetryInfo(retry_delay=duration_pb2.Duration(nanos=1))
    fail(context, grpc.StatusCode.UNAVAILABLE, "the node is shutting down", retry)


QUEUED = job(pb.MAIL_JOB_STATE_QUEUED)
SENDING = job(pb.MAIL_JOB_STATE_SENDING)
SENT = job(pb.MAIL_JOB_STATE_SENT)


class ClientTest(unittest.TestCase):
    def test_a_job_is_watched_until_it_is_sent(self):
        script = Script([QUEUED], [[("a", QUEUED), ("b", SENDING), ("c", SENT)]])

        code, out, err = run(script)

        self.assertEqual((code, err), (0, []))
        self.assertEqual(out[0], f"QUEUED {NAME}")
        self.assertEqual(out[-1], f"SENT {NAME}")

    def test_a_broken_stream_goes_on_behind_the_last_change(self):
        first = [("a", QUEUED), ("bookmark", None), ("", unavailable)]
        script = Script([QUEUED], [first, [("c", SENT)]])

        code, out, _ = run(script)

        self.assertEqual((code, script.resumed), (0, ["", "bookmark"]))
        self.assertEqual(out, [f"QUEUED {NAME}", f"SENT {NAME}", f"SENT {NAME}"])

    def test_a_stream_that_ends_early_goes_on_behind_the_last_change(self):
        script = Script([QUEUED], [[("a", QUEUED)], [("b", SENT)]])

        code, _, _ = run(script)

        self.assertEqual((code, script.resumed), (0, ["", "a"]))

    def test_a_submit_is_repeated_with_the_same_request_id(self):
        script = Script([unavailable, QUEUED], [[("a", SENT)]])

        code, _, _ = run(script)

        self.assertEqual((code, len(script.submitted)), (0, 2))
        self.assertEqual(script.submitted[0], script.submitted[1])
        self.assertNotEqual(script.submitted[0].request_id, "")

    def test_the_trace_context_goes_along(self):
        trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
        script = Script([QUEUED], [[("a", SENT)]])

        run(script, "--traceparent", trace)

        self.assertEqual(script.metadata[0]["traceparent"], trace)

    def test_every_violation_is_a_line_on_stderr(self):
        fields = ("mail.to[0].address", "mail.to[1].address")
        violation = error_details_pb2.BadRequest.FieldViolation
        bad = [violation(field=field, description="has no `@`") for field in fields]
        info = error_details_pb2.ErrorInfo(reason="INVALID_MAIL_JOB", domain="nuncio")
        request = error_details_pb2.BadRequest(field_violations=bad)
        invalid = lambda context: fail(
            context, grpc.StatusCode.INVALID_ARGUMENT, "not valid", info, request
        )

        code, out, err = run(Script([invalid]))

        self.assertEqual((code, out), (4, []))
        self.assertEqual(err[0], "INVALID_ARGUMENT: not valid (INVALID_MAIL_JOB)")
        self.assertEqual(err[1:], [f"{field}: has no `@`" for field in fields])

    def test_a_job_that_failed_gives_exit_code_7_and_says_why(self):
        reason = pb.Reason(code="PROVIDER_REFUSED", message="the provider refused the mail")
        reply = pb.SmtpReply(code=550, enhanced_code="5.1.1", text="no such user")
        recipient = pb.RecipientResult(
            address="guest@example.com", state=pb.RECIPIENT_STATE_REFUSED, reply=reply
        )
        failed = job(pb.MAIL_JOB_STATE_FAILED, reason=reason, recipients=[recipient])

        code, out, _ = run(Script([QUEUED], [[("a", failed)]]))

        self.assertEqual(code, 7)
        self.assertIn("PROVIDER_REFUSED: the provider refused the mail", out[0])
        self.assertEqual(out[1], "  guest@example.com REFUSED 550 5.1.1 no such user")
        self.assertEqual(out[-1], f"FAILED {NAME}")

    def test_a_server_that_does_not_answer_is_given_up_at_the_deadline(self):
        out, err = io.StringIO(), io.StringIO()
        argv = ["--target", "127.0.0.1:1", "--stubs", STUBS, "--subject", "hello"]
        argv += ["--to", "guest@example.com", "--timeout", "0.5"]
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            self.assertEqual(client.main(argv), 6)
        self.assertEqual(out.getvalue(), "")


if __name__ == "__main__":
    unittest.main()
