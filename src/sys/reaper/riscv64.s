// The result is in a0, like the first argument; the place in the list of mount points is in s1.
.macro arg1 value
    li a0, \value
.endm
.macro arg2 value
    li a1, \value
.endm
.macro arg3 value
    li a2, \value
.endm
.macro arg4 value
    li a3, \value
.endm
.macro arg5 value
    li a4, \value
.endm
.macro word1 address
    li t0, \address
    lw a0, 0(t0)
.endm
.macro word2 address
    li t0, \address
    lw a1, 0(t0)
.endm
.macro field1 offset
    lw a0, \offset(s1)
.endm
.macro field2 offset
    lw a1, \offset(s1)
.endm
.macro field3 offset
    lw a2, \offset(s1)
.endm
.macro system number
    li a7, \number
    ecall
.endm
.macro load address
    li t0, \address
    lw a0, 0(t0)
.endm
.macro load_field offset
    lw a0, \offset(s1)
.endm
.macro store address
    li t0, \address
    sw a0, 0(t0)
.endm
.macro store_arg1 address
    store \address
.endm
.macro store_byte_arg1 address
    li t0, \address
    sb a0, 0(t0)
.endm
.macro keep_bits bits
    li t0, \bits
    and a0, a0, t0
.endm
.macro keep_bits_of_field offset
    lw t0, \offset(s1)
    and a0, a0, t0
.endm
.macro shift count
    srliw a0, a0, \count
.endm
.macro increase value
    addiw a0, a0, \value
.endm
.macro negate
    negw a0, a0
.endm
.macro if_equal value, label
    li t0, \value
    beq a0, t0, \label
.endm
.macro if_less value, label
    li t0, \value
    blt a0, t0, \label
.endm
.macro if_word address, label
    li t0, \address
    lw t0, 0(t0)
    beq a0, t0, \label
.endm
.macro unless_field offset, label
    lw t0, \offset(s1)
    bne a0, t0, \label
.endm
.macro unless_same address, offset, label
    li t0, \address
    ld t0, 0(t0)
    ld t1, \offset(s1)
    bne t0, t1, \label
.endm
.macro record_at address
    li s1, \address
.endm
.macro next_record size
    addi s1, s1, \size
.endm
.macro goto label
    j \label
.endm
