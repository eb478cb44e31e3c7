//! Which of the 16,384 slots of a cluster a key is in.

/// The slot of a key: that of what is between its first braces, if there is something,
/// so that keys can be kept together.
pub(crate) fn slot_of(key: &[u8]) -> u16 {
    let position = |bytes: &[u8], byte| bytes.iter().position(|b| *b == byte);
    let tag = position(key, b'{').and_then(|open| {
        let rest = &key[open + 1..];
        let close = position(rest, b'}').filter(|close| *close > 0)?;
        Some(&rest[..close])
    });
    crc16(tag.unwrap_or(key)) % 16_384
}

/// CRC-16/XMODEM, a byte at a time.
fn crc16(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0, |crc: u16, byte| {
        let [high, _] = crc.to_be_bytes();
        (crc << 8) ^ OF_BYTES[usize::from(high ^ byte)]
    })
}

/// The checksum of each byte alone.
const OF_BYTES: [u16; 256] = {
    let mut table = [0; 256];
    let mut byte: u16 = 0;
    while byte < 256 {
        let (mut crc, mut bit) = (byte << 8, 0);
        while bit < 8 {
            let carry = crc & 0x8000 != 0;
            crc = (crc << 1) ^ if carry { 0x1021 } else { 0 };
            bit += 1;
        }
        table[byte as usize] = crc;
        byte += 1;
    }
    table
};

#[cfg(test)]
mod tests {
    use super::*;

    // The numbers are what `CLUSTER KEYSLOT` answers.
    #[test]
    fn slots_are_those_of_the_servers() {
        assert_eq!(crc16(b"123456789"), 0x31C3);
        for (key, slot) in [
            ("", 0),
            ("foo", 12_182),
            ("user:1000", 1_649),
            ("{user:1000}.following", 1_649),
            ("x{user:1000}{other}", 1_649),
        ] {
            assert_eq!(slot_of(key.as_bytes()), slot, "{key}");
        }
        assert_eq!(slot_of(b"a{}b"), crc16(b"a{}b") % 16_384);
    }
}
