//! Packs texts to half their size by byte pair encoding: the most frequent pair of bytes is replaced by
//! one unused byte, again and again. `src/cli/help.rs` unpacks them.

use std::collections::BTreeMap;

/// Returns the packed texts, and the pair that each byte from 128 on replaces.
pub fn pack(texts: &[String]) -> (Vec<Vec<u8>>, Vec<[u8; 2]>) {
    let mut texts: Vec<Vec<u8>> = texts.iter().map(|text| text.clone().into_bytes()).collect();
    assert!(
        texts.iter().flatten().all(u8::is_ascii),
        "only ASCII can be packed"
    );
    let mut pairs = Vec::new();
    for code in 128..=u8::MAX {
        let mut counts: BTreeMap<[u8; 2], usize> = BTreeMap::new();
        for pair in texts.iter().flat_map(|text| text.windows(2)) {
            *counts.entry([pair[0], pair[1]]).or_default() += 1;
        }
        let Some((pair, _)) = counts
            .into_iter()
            .max_by_key(|(pair, count)| (*count, *pair))
        else {
            break;
        };
        for text in &mut texts {
            replace(text, pair, code);
        }
        pairs.push(pair);
    }
    (texts, pairs)
}

fn replace(text: &mut Vec<u8>, pair: [u8; 2], code: u8) {
    let mut packed = Vec::new();
    let mut rest = &text[..];
    while let [first, after @ ..] = rest {
        if rest.starts_with(&pair) {
            packed.push(code);
            rest = &rest[2..];
        } else {
            packed.push(*first);
            rest = after;
        }
    }
    *text = packed;
}
