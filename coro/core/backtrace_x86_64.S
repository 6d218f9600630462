/*
 * void coro_backtrace_call(const struct registers *registers,
 *                          void (*function)(void *), void *argument)
 *
 *   rdi  registers     rsi  function     rdx  argument
 *
 *   registers: 0 rip   8 rsp   16 rbp   24 rbx   32 r12   40 r13   48 r14
 *   56 r15
 *
 * From the call on, the unwind table says that this frame's caller is the flow
 * that the registers describe, and not ours: rbx points at them, the canonical
 * frame address is their rsp (DW_CFA_def_cfa_expression 15: DW_OP_breg3 8,
 * DW_OP_deref), and each register lies where they say (DW_CFA_expression 16:
 * register, length, DW_OP_breg3 offset). "Signal frame": the caller's rip is
 * where it goes on, and may be the first instruction of a function.
 */
#if defined(__x86_64__)
        .text
        .globl  coro_backtrace_call
        .type   coro_backtrace_call, @function
        .p2align 4
coro_backtrace_call:
        .cfi_startproc
        .cfi_signal_frame
        endbr64
        pushq   %rbx
        .cfi_adjust_cfa_offset 8
        .cfi_rel_offset %rbx, 0
        movq    %rdi, %rbx
        movq    %rdx, %rdi
        .cfi_remember_state
        .cfi_escape 0x0f, 0x03, 0x73, 0x08, 0x06
        .cfi_escape 0x10, 0x10, 0x02, 0x73, 0x00
        .cfi_escape 0x10, 0x06, 0x02, 0x73, 0x10
        .cfi_escape 0x10, 0x03, 0x02, 0x73, 0x18
        .cfi_escape 0x10, 0x0c, 0x02, 0x73, 0x20
        .cfi_escape 0x10, 0x0d, 0x02, 0x73, 0x28
        .cfi_escape 0x10, 0x0e, 0x02, 0x73, 0x30
        .cfi_escape 0x10, 0x0f, 0x02, 0x73, 0x38
        call    *%rsi
        nop
        .cfi_restore_state
        popq    %rbx
        .cfi_adjust_cfa_offset -8
        .cfi_restore %rbx
        ret
        .cfi_endproc
        .size   coro_backtrace_call, .-coro_backtrace_call
#endif
        .section .note.GNU-stack, "", %progbits
