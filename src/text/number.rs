//! The only parser of decimal numbers.

/// Parses digits without sign or space; `None` for anything else, or above `u32::MAX`.
pub fn number(text: &[u8]) -> Option<u32> {
    let mut number: u32 = 0;
    for byte in text {
        let digit = byte.is_ascii_digit().then(|| byte - b'0')?;
        number = number.checked_mul(10)?.checked_add(digit.into())?;
    }
    (!text.is_empty()).then_some(number)
}
