//! Ranges of ids: subuid(5), getsubids(1), and the maps of user namespaces.

use std::collections::{BTreeMap, BTreeSet};
use std::prelude::rust_2024::*;
use std::{format, str};

use crate::text::line::Line;
use crate::user::maps::push_exchanged;
use crate::user::private::{COUNT, is_free, lines, pieces};
use crate::user::ranges::{ranges_in, ranges_in_answer};

/// Takes a file like `/etc/subuid`, whose first line names a user. Its numbers also make a map.
pub fn ids(file: &[u8]) {
    let name = file.split(|byte| *byte == b'\n').next().unwrap();
    let all = delegated(file);
    of_caller(file, name, &all);
    of_root(file, &all);
    told(file);
    exchanged(&all);
}

/// A line's name, start and length, read with the standard library.
type Delegated<'a> = (&'a [u8], u32, u32);

fn delegated(file: &[u8]) -> Vec<Delegated<'_>> {
    let of_line = |line| {
        let fields: Vec<&[u8]> = <[u8]>::split(line, |byte| *byte == b':').collect();
        match fields[..] {
            [name, start, count, ..] => Some((name, number(start)?, number(count)?)),
            _ => None,
        }
    };
    file.split(|byte| *byte == b'\n')
        .filter_map(of_line)
        .collect()
}

/// The standard library also accepts a `+`.
fn number(text: &[u8]) -> Option<u32> {
    let text = str::from_utf8(text).ok()?;
    text.parse().ok().filter(|_| !text.starts_with('+'))
}

fn of_caller(file: &[u8], name: &[u8], all: &[Delegated]) {
    let (ours, free) = ranges_in(file, name, b"1000");
    let expected = all
        .iter()
        .filter(|(whose, ..)| *whose == name || *whose == b"1000")
        .map(|(_, start, count)| (*start, *count));
    assert!(ours.into_iter().eq(expected));
    let above = |(_, start, count): &Delegated| {
        let end = u64::from(*start) + u64::from(*count);
        u64::from(free) >= end.min(u32::MAX.into())
    };
    assert!(free >= 100_000 && all.iter().all(above));
}

fn of_root(file: &[u8], all: &[Delegated]) {
    let read = lines(file);
    let expected = all
        .iter()
        .filter(|(_, start, count)| *start > 0 && *count > 0)
        .map(|(whose, start, count)| (matches!(*whose, b"root" | b"0"), *start, *count));
    assert!(read.iter().copied().eq(expected));
    // A piece begins where the one before ends. No id is the largest number, which is none.
    for (_, start, count) in &read {
        let end = (u64::from(*start) + u64::from(*count)).min(u32::MAX.into());
        let mut next = u64::from(*start);
        for (start, count) in pieces((*start, *count)).take(1000) {
            assert_eq!(u64::from(start), next);
            assert!(count > 0 && count <= COUNT);
            next += u64::from(count);
            assert!(next == end || next < end && count == COUNT);
        }
    }
    // A range is free if it has no id in common with another.
    let (users, groups) = read.split_at(read.len() / 2);
    let accounts: Vec<u32> = all.iter().map(|(_, start, _)| *start).collect();
    for (_, start, count) in all {
        for start in [
            *start,
            start.wrapping_add(*count),
            start.wrapping_sub(COUNT),
        ] {
            let Some(end) = start.checked_add(COUNT) else {
                continue;
            };
            let range = u64::from(start)..u64::from(end);
            let meets = |(_, first, count): &(bool, u32, u32)| {
                let (first, count) = (u64::from(*first), u64::from(*count));
                first.max(range.start) < (first + count).min(range.end)
            };
            assert_eq!(
                is_free(start, &accounts, [users, groups]),
                !read.iter().any(meets)
                    && !accounts.iter().any(|id| range.contains(&u64::from(*id)))
            );
        }
    }
}

/// The ranges that getsubids(1) prints are read back.
fn told(answer: &[u8]) {
    let ranges = ranges_in_answer(answer);
    let printed: Vec<String> = ranges
        .iter()
        .enumerate()
        .map(|(index, (start, count))| format!("{index}: a b {start} {count}\n"))
        .collect();
    assert_eq!(ranges_in_answer(printed.concat().as_bytes()), ranges);
}

/// In a map made of extents that do not overlap, no id appears twice, and each has its own place.
fn exchanged(all: &[Delegated]) {
    let [(_, caller, inner), extents @ ..] = all else {
        return;
    };
    let mut taken: BTreeMap<u64, u64> = BTreeMap::new();
    let mut map = Line::new();
    let mut expected = BTreeSet::new();
    let with_0 = caller % 2 == 0;
    // The kernel's limit on lines is 340, and the line has room for some of them.
    for (_, first, count) in extents.iter().take(20) {
        let end = u64::from(*first) + u64::from(*count);
        let overlaps = taken
            .iter()
            .any(|(start, other)| *start < end && u64::from(*first) < *other);
        if end > u64::from(u32::MAX) || overlaps || *count == 0 {
            continue;
        }
        taken.insert(u64::from(*first), end);
        expected.insert((u64::from(*first), end));
        push_exchanged(&mut map, (*first, *count), (*caller, *inner), with_0);
    }
    let text = str::from_utf8(map.bytes()).unwrap();
    let mut sides = [Vec::new(), Vec::new()];
    for line in text.lines() {
        let words: Vec<u64> = line
            .split_ascii_whitespace()
            .map(|word| word.parse().unwrap())
            .collect();
        let [inside, outside, count] = words[..] else {
            std::panic!("{line}");
        };
        assert!(count > 0);
        // Only the two ids that are exchanged change their number.
        let ids = [u64::from(*caller), u64::from(*inner)];
        assert!(inside == outside || count == 1 && ids.contains(&inside) && ids.contains(&outside));
        sides[0].push((inside, inside + count));
        sides[1].push((outside, outside + count));
    }
    for side in &mut sides {
        side.sort_unstable();
        assert!(side.windows(2).all(|two| two[0].1 <= two[1].0), "{text}");
    }
    // All ids of the extents are mapped, except for 0 without the right to map it.
    let total = |ranges: &mut dyn Iterator<Item = (u64, u64)>| -> u64 {
        ranges.map(|(start, end)| end - start).sum()
    };
    let has_0 = expected.first().is_some_and(|(start, _)| *start == 0);
    let left_out = u64::from(has_0 && !with_0 && *caller != 0);
    let mapped = total(&mut sides[1].iter().copied());
    assert_eq!(mapped + left_out, total(&mut expected.iter().copied()));
    let is_expected = |id: u64| {
        expected
            .iter()
            .any(|(start, end)| (*start..*end).contains(&id))
    };
    assert!(
        sides[1]
            .iter()
            .all(|(start, end)| is_expected(*start) && is_expected(end - 1))
    );
}
