// The result is in x0, like the first argument; the place in the list of mount points is in x19.
.macro number register, value
    movz w\register, #((\value) & 0xffff)
    movk w\register, #(((\value) >> 16) & 0xffff), lsl #16
    sxtw x\register, w\register
.endm
.macro arg1 value
    number 0, \value
.endm
.macro arg2 value
    number 1, \value
.endm
.macro arg3 value
    number 2, \value
.endm
.macro arg4 value
    number 3, \value
.endm
.macro arg5 value
    number 4, \value
.endm
.macro word1 address
    number 9, \address
    ldrsw x0, [x9]
.endm
.macro word2 address
    number 9, \address
    ldrsw x1, [x9]
.endm
.macro field1 offset
    ldrsw x0, [x19, #\offset]
.endm
.macro field2 offset
    ldrsw x1, [x19, #\offset]
.endm
.macro field3 offset
    ldrsw x2, [x19, #\offset]
.endm
.macro system value
    number 8, \value
    svc #0
.endm
.macro load address
    number 9, \address
    ldr w0, [x9]
.endm
.macro load_field offset
    ldr w0, [x19, #\offset]
.endm
.macro store address
    number 9, \address
    str w0, [x9]
.endm
.macro store_arg1 address
    store \address
.endm
.macro store_byte_arg1 address
    number 9, \address
    strb w0, [x9]
.endm
.macro keep_bits bits
    number 9, \bits
    and w0, w0, w9
.endm
.macro keep_bits_of_field offset
    ldr w9, [x19, #\offset]
    and w0, w0, w9
.endm
.macro shift count
    lsr w0, w0, #\count
.endm
.macro increase value
    number 9, \value
    add w0, w0, w9
.endm
.macro negate
    neg w0, w0
.endm
.macro if_equal value, label
    number 9, \value
    cmp w0, w9
    b.eq \label
.endm
.macro if_less value, label
    number 9, \value
    cmp w0, w9
    b.lt \label
.endm
.macro if_word address, label
    number 9, \address
    ldr w9, [x9]
    cmp w0, w9
    b.eq \label
.endm
.macro unless_field offset, label
    ldr w9, [x19, #\offset]
    cmp w0, w9
    b.ne \label
.endm
.macro unless_same address, offset, label
    number 9, \address
    ldr x0, [x9]
    ldr x9, [x19, #\offset]
    cmp x0, x9
    b.ne \label
.endm
.macro record_at address
    number 19, \address
.endm
.macro next_record size
    add x19, x19, #\size
.endm
.macro goto label
    b \label
.endm
