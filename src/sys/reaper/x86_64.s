// The result is in rax, the place in the list of mount points in rbx.
.macro arg1 value
    mov rdi, \value
.endm
.macro arg2 value
    mov rsi, \value
.endm
.macro arg3 value
    mov rdx, \value
.endm
.macro arg4 value
    mov r10, \value
.endm
.macro arg5 value
    mov r8, \value
.endm
.macro word1 address
    movsxd rdi, dword ptr [\address]
.endm
.macro word2 address
    movsxd rsi, dword ptr [\address]
.endm
.macro field1 offset
    movsxd rdi, dword ptr [rbx + \offset]
.endm
.macro field2 offset
    movsxd rsi, dword ptr [rbx + \offset]
.endm
.macro field3 offset
    movsxd rdx, dword ptr [rbx + \offset]
.endm
.macro system number
    mov eax, \number
    syscall
.endm
.macro load address
    mov eax, dword ptr [\address]
.endm
.macro load_field offset
    mov eax, dword ptr [rbx + \offset]
.endm
.macro store address
    mov dword ptr [\address], eax
.endm
.macro store_arg1 address
    mov dword ptr [\address], edi
.endm
.macro store_byte_arg1 address
    mov byte ptr [\address], dil
.endm
.macro keep_bits bits
    and eax, \bits
.endm
.macro keep_bits_of_field offset
    and eax, dword ptr [rbx + \offset]
.endm
.macro shift count
    shr eax, \count
.endm
.macro increase value
    add eax, \value
.endm
.macro negate
    neg eax
.endm
.macro if_equal value, label
    cmp eax, \value
    je \label
.endm
.macro if_less value, label
    cmp eax, \value
    jl \label
.endm
.macro if_word address, label
    cmp eax, dword ptr [\address]
    je \label
.endm
.macro unless_field offset, label
    cmp eax, dword ptr [rbx + \offset]
    jne \label
.endm
.macro unless_same address, offset, label
    mov rax, qword ptr [\address]
    cmp rax, qword ptr [rbx + \offset]
    jne \label
.endm
.macro record_at address
    mov ebx, \address
.endm
.macro next_record size
    add rbx, \size
.endm
.macro goto label
    jmp \label
.endm
