use super::*;

fn named(name: &str) -> &'static Host {
    Host::named(name).unwrap()
}

#[test]
fn orders_are_understood() {
    let (pan, etcd, provider) = (named("pan-1"), named("etcd-3"), named("provider"));
    for (line, order) in [
        ("kill pan-1", Order::Kill(pan)),
        ("stop etcd-3", Order::Stop(etcd)),
        (" start  pan-1 ", Order::Start { host: pan, ahead_s: 0 }),
        ("start pan-1 -300", Order::Start { host: pan, ahead_s: -300 }),
        ("pause pan-1", Order::Pause(pan)),
        ("resume pan-1", Order::Resume(pan)),
        ("cut pan-1 etcd-3 provider", Order::Cut { host: pan, others: vec![etcd, provider] }),
        ("heal", Order::Heal),
        ("promote postgres-2", Order::Promote(named("postgres-2"))),
        ("compact", Order::Compact),
        ("status", Order::Status),
        ("help", Order::Help),
        ("quit", Order::Quit),
    ] {
        assert_eq!(Order::parse(line), Ok(order), "{line}");
    }
}

#[test]
fn what_is_no_order_is_told_with_what_would_be() {
    for (line, part) in [
        ("", "`help` lists"),
        ("kill", "`help` lists"),
        ("cut pan-1", "`help` lists"),
        ("kill pan-3", "no host `pan-3`, but provider, etcd-1"),
        ("kill provider", "outside of the cluster"),
        ("start pan-1 soon", "`soon` is no number"),
        ("start etcd-1 60", "the clock of the machine"),
        ("promote pan-2", "no server of PostgreSQL"),
    ] {
        let problem = Order::parse(line).unwrap_err();
        assert!(problem.contains(part), "{line}: {problem}");
    }
}
