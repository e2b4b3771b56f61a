use super::*;

const PAGE: &str = "\
# Title

<!-- run
quiet
-->

```console
$ first
old output
$ second \\
> more
old
[exit code 3]
```

```toml
$ no command
```
";

fn run(page: &str, codes: &[i32]) -> (String, Vec<String>, Vec<String>) {
    let (mut asked, mut codes) = (Vec::new(), codes.iter());
    let (page, surprises) = Page::parse(page)
        .run(|command| {
            asked.push(command.to_owned());
            let code = *codes.next().expect("no more commands than codes");
            Ok(Said { output: format!("new {}\n", asked.len()), code })
        })
        .expect("nothing fails");
    (page, surprises, asked)
}

#[test]
fn commands_run_in_order_and_what_they_say_replaces_what_they_said() {
    let (page, surprises, asked) = run(PAGE, &[0, 0, 3]);

    assert_eq!(asked, ["quiet\n", "first", "second \\\nmore"]);
    assert!(surprises.is_empty(), "{surprises:?}");
    let expected = PAGE.replace("old output", "new 2").replace("\nold\n", "\nnew 3\n");
    assert_eq!(page, expected);
}

#[test]
fn a_command_that_ends_otherwise_than_before_is_told() {
    let (page, surprises, _asked) = run(PAGE, &[0, 1, 0]);

    assert_eq!(surprises, ["first: exit code 1, not 0", "second \\: exit code 0, not 3"]);
    assert!(page.contains("new 2\n[exit code 1]\n"), "{page}");
}
