"""Submits a mail job to nuncio and watches it until it has ended.

Each change of the job is a line on stdout, `STATE mailJobs/...` with the reason where there is one; the
last line is the final state alone: `SENT mailJobs/...`. Errors go to stderr.

Exit codes: 0 sent, 1 failed, 2 wrong usage, 3 not found, 4 invalid input (each violation on a line of its
own), 5 refused because of a state, 6 nuncio was not reached in time, 7 the job ended otherwise than SENT.
"""

import argparse
import json
import pathlib
import secrets
import sys
import time
import uuid

import grpc
from google.rpc import error_details_pb2, status_pb2

# A call that takes longer than this is given up and repeated.
CALL_TIMEOUT_S = 10
# The wait before a call is repeated, where the server does not name one; doubled up to the maximum.
BACKOFF_MIN_S = 0.2
BACKOFF_MAX_S = 5

# Of several nodes all are used in turn, and one that is gone is left out. What fails because its node is gone is repeated at
# once at another one, by the library; what no node can do yet is repeated by `Client`.
SERVICE_CONFIG = {
    "loadBalancingConfig": [{"round_robin": {}}],
    "methodConfig": [
        {
            "name": [{"service": "nuncio.v1.MailJobService"}],
            "retryPolicy": {
                "maxAttempts": 3,
                "initialBackoff": "0.05s",
                "maxBackoff": "1s",
                "backoffMultiplier": 2,
                "retryableStatusCodes": ["UNAVAILABLE"],
            },
        }
    ],
}
# A connection whose node says nothing for so long is given up, also while nothing is asked: nodes allow ten seconds.
CHANNEL_OPTIONS = [
    ("grpc.service_config", json.dumps(SERVICE_CONFIG)),
    ("grpc.keepalive_time_ms", 20_000),
    ("grpc.keepalive_timeout_ms", 10_000),
]

EXIT_OK = 0
EXIT_FAILED = 1
EXIT_JOB_NOT_SENT = 7
EXIT_UNREACHABLE = 6
EXIT_OF_STATUS = {
    grpc.StatusCode.NOT_FOUND: 3,
    grpc.StatusCode.INVALID_ARGUMENT: 4,
    grpc.StatusCode.ALREADY_EXISTS: 4,
    grpc.StatusCode.FAILED_PRECONDITION: 5,
    grpc.StatusCode.UNAVAILABLE: EXIT_UNREACHABLE,
    grpc.StatusCode.DEADLINE_EXCEEDED: EXIT_UNREACHABLE,
}
CLASSES = ("alarm-critical", "credentials", "approval", "alarm", "reminder", "bulk")
# What another try may heal. A submit is safe to repeat because of its request id.
TRANSIENT = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED)


class Client:
    """Calls MailJobService; repeats what is transient until `deadline`, a value of time.monotonic()."""

    def __init__(self, pb, stub, traceparent, deadline):
        self.pb = pb
        self.stub = stub
        self.metadata = (("traceparent", traceparent),)
        self.deadline = deadline

    def submit(self, request):
        """Gives the stored job. The same request id with the same content gives the same job."""
        wait = BACKOFF_MIN_S
        while True:
            try:
                timeout = min(CALL_TIMEOUT_S, self.left())
                answer = self.stub.CreateMailJob(request, timeout=timeout, metadata=self.metadata)
                return answer.mail_job
            except grpc.RpcError as error:
                wait = self.pause(error, wait)

    def watch(self, name):
        """Gives each change of the job, the final one included, over as many streams as it takes."""
        resume_token = ""
        wait = BACKOFF_MIN_S
        while True:
            request = self.pb.WatchMailJobsRequest(name=name, resume_token=resume_token)
            try:
                stream = self.stub.WatchMailJobs(
                    request, timeout=self.left(), metadata=self.metadata
                )
                for event in stream:
                    wait = BACKOFF_MIN_S
                    resume_token = event.resume_token
                    # Without a job it is a bookmark: only the token has moved on.
                    if event.HasField("mail_job"):
                        yield event.mail_job
                        if is_final(self.pb, event.mail_job.state):
                            return
                # The stream ended early and without an error, for example behind a proxy.
                time.sleep(min(wait, self.left()))
            except grpc.RpcError as error:
                wait = self.pause(error, wait)

    def left(self):
        """The seconds until the deadline; at least a little, so that a call can tell that it is late."""
        return max(self.deadline - time.monotonic(), 0.001)

    def pause(self, error, wait):
        """Waits before a repetition and gives the next wait; raises what no repetition can heal."""
        if error.code() not in TRANSIENT or time.monotonic() >= self.deadline:
            raise error
        print(f"{error.code().name}: {error.details()}; trying again", file=sys.stderr)
        retry = details(error, error_details_pb2.RetryInfo)
        asked = retry[0].retry_delay.ToTimedelta().total_seconds() if retry else 0
        time.sleep(min(max(wait, asked), self.left()))
        return min(2 * wait, BACKOFF_MAX_S)


def details(error, kind):
    """The error's details of one kind, from the google.rpc.Status in the trailing metadata."""
    found = []
    for key, value in error.trailing_metadata() or ():
        if key == "grpc-status-details-bin":
            for packed in status_pb2.Status.FromString(value).details:
                message = kind()
                if packed.Unpack(message):
                    found.append(message)
    return found


def is_final(pb, state):
    return state in (
        pb.MAIL_JOB_STATE_SENT,
        pb.MAIL_JOB_STATE_FAILED,
        pb.MAIL_JOB_STATE_EXPIRED,
        pb.MAIL_JOB_STATE_CANCELLED,
        pb.MAIL_JOB_STATE_UNKNOWN,
    )


def state_name(pb, state):
    return pb.MailJobState.Name(state).removeprefix("MAIL_JOB_STATE_")


def show(pb, job):
    line = f"{state_name(pb, job.state)} {job.name}"
    if job.HasField("reason"):
        line += f" {job.reason.code}: {job.reason.message}"
    print(line, flush=True)


def show_end(pb, job):
    for recipient in job.recipients:
        state = pb.RecipientState.Name(recipient.state).removeprefix("RECIPIENT_STATE_")
        reply = recipient.reply
        answer = f" {reply.code} {reply.enhanced_code} {reply.text}" if reply.code else ""
        print(f"  {recipient.address} {state}{answer}")
    if job.reason.remedy:
        print(f"what to do: {job.reason.remedy}", file=sys.stderr)
    print(f"{state_name(pb, job.state)} {job.name}", flush=True)


def show_error(error):
    reasons = [info.reason for info in details(error, error_details_pb2.ErrorInfo)]
    reason = f" ({', '.join(reasons)})" if reasons else ""
    print(f"{error.code().name}: {error.details()}{reason}", file=sys.stderr)
    for bad_request in details(error, error_details_pb2.BadRequest):
        for violation in bad_request.field_violations:
            print(f"{violation.field}: {violation.description}", file=sys.stderr)
    for failure in details(error, error_details_pb2.PreconditionFailure):
        for violation in failure.violations:
            print(f"{violation.subject}: {violation.description}", file=sys.stderr)


def arguments(argv):
    parser = argparse.ArgumentParser(description="Submit a mail job to nuncio and watch it.")
    parser.add_argument(
        "--target",
        default="127.0.0.1:7587",
        help="HOST:PORT of nuncio's gRPC port; of several nodes dns:///NAME:PORT or ipv4:ADDRESS:PORT,ADDRESS:PORT",
    )
    parser.add_argument(
        "--authority",
        help="the name that the certificates of all nodes have, where --target is a list of addresses",
    )
    parser.add_argument("--ca", help="certificate authorities of the nodes in PEM: TLS is spoken then")
    parser.add_argument("--cert", help="client certificate in PEM")
    parser.add_argument("--key", help="its private key in PEM")
    parser.add_argument("--stubs", default="stubs", help="the folder that make_stubs.py filled")
    parser.add_argument("--to", action="append", required=True, help="a recipient; repeatable")
    parser.add_argument("--subject", required=True)
    parser.add_argument("--text", default="Hello from a Python client of nuncio.\n")
    parser.add_argument("--class", dest="mail_class", default="bulk", choices=CLASSES)
    parser.add_argument("--request-id", default=str(uuid.uuid4()), help="repeat one to repeat a submit")
    parser.add_argument("--traceparent", help="the W3C trace context to go on with")
    parser.add_argument("--timeout", type=float, default=60, help="for everything, in seconds")
    return parser.parse_args(argv)


def new_traceparent():
    """A new trace (W3C Trace Context); in a program with OpenTelemetry the propagator makes it."""
    return f"00-{secrets.token_hex(16)}-{secrets.token_hex(8)}-01"


def request_of(pb, args):
    mail_class = pb.MailClass.Value("MAIL_CLASS_" + args.mail_class.upper().replace("-", "_"))
    mail = pb.Mail(
        to=[pb.Mailbox(address=address) for address in args.to],
        raw=pb.RawContent(subject=args.subject, text=args.text),
    )
    # `class` is a word of Python, so it cannot be written as a keyword argument.
    return pb.CreateMailJobRequest(mail=mail, request_id=args.request_id, **{"class": mail_class})


def channel_to(args):
    options = list(CHANNEL_OPTIONS)
    # A list of addresses is no host name, which each call has to carry (RFC 9113, section 8.3.1).
    authority = args.authority or ("nuncio" if "," in args.target else None)
    if authority:
        options.append(("grpc.default_authority", authority))
    if args.ca is None:
        return grpc.insecure_channel(args.target, options=options)
    read = lambda path: pathlib.Path(path).read_bytes() if path else None
    credentials = grpc.ssl_channel_credentials(read(args.ca), read(args.key), read(args.cert))
    return grpc.secure_channel(args.target, credentials, options=options)


def main(argv):
    args = arguments(argv)
    sys.path.insert(0, str(pathlib.Path(args.stubs)))
    try:
        from nuncio.v1 import mail_job_pb2 as pb
        from nuncio.v1 import mail_job_pb2_grpc as pb_grpc
    except ModuleNotFoundError as error:
        print(f"{error}; make the stubs: python make_stubs.py {args.stubs}", file=sys.stderr)
        return 2

    deadline = time.monotonic() + args.timeout
    traceparent = args.traceparent or new_traceparent()
    with channel_to(args) as channel:
        stub = pb_grpc.MailJobServiceStub(channel)
        client = Client(pb, stub, traceparent, deadline)
        try:
            job = client.submit(request_of(pb, args))
            for job in client.watch(job.name):
                show(pb, job)
            show_end(pb, job)
        except grpc.RpcError as error:
            show_error(error)
            return EXIT_OF_STATUS.get(error.code(), EXIT_FAILED)
    return EXIT_OK if job.state == pb.MAIL_JOB_STATE_SENT else EXIT_JOB_NOT_SENT


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
