use super::*;

#[test]
fn processor_time_is_user_and_system_time_whatever_the_name() {
    let stat = "7 (a ) b) S 1 7 7 0 -1 4194560 1 0 0 0 250 30 0 0 20 0 4 0 99";
    assert_eq!(ticks(stat), Some(280));
}

#[test]
fn memory_is_read_by_its_name() {
    let status = "Name:\tnuncio\nVmHWM:\t   20480 kB\nVmRSS:\t   10240 kB\n";
    assert_eq!(mebibytes(status, "VmRSS:"), Some(10.0));
    assert_eq!(mebibytes(status, "VmHWM:"), Some(20.0));
    assert_eq!(mebibytes(status, "VmSwap:"), None);
}

#[test]
fn the_machine_is_busy_with_all_but_waiting() {
    let stat = "cpu  10 2 30 4000 500 6 7 8 3 1\ncpu0 1 1 1 1 1 1 1 1 1 1\n";
    assert_eq!(busy_ticks(stat), Some(10 + 2 + 30 + 6 + 7 + 8));
}
