use super::*;

fn check(length: usize, max: usize, expect: &[usize]) {
    let all: Vec<_> = (0..length).collect();

    let pieces: Vec<_> = in_powers_of_two(&all, max).collect();

    assert_eq!(pieces.iter().map(|piece| piece.len()).collect::<Vec<_>>(), expect);
    assert_eq!(pieces.concat(), all);
}

#[test]
fn pieces_have_lengths_that_are_powers_of_two() {
    check(0, 128, &[]);
    check(1, 128, &[1]);
    check(7, 128, &[4, 2, 1]);
    check(300, 128, &[128, 128, 32, 8, 4]);
    check(3, 1, &[1, 1, 1]);
}
