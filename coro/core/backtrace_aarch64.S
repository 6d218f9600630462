/*
 * void coro_backtrace_call(const struct registers *registers,
 *                          void (*function)(void *), void *argument)
 *
 *   x0  registers     x1  function     x2  argument
 *
 *   registers: 0 pc   8 sp   16 x29   24 x19-x28
 *
 * From the call on, the unwind table says that this frame's caller is the flow
 * that the registers describe, and not ours: x19 points at them, the canonical
 * frame address is their sp (DW_CFA_def_cfa_expression 15: DW_OP_breg19 8,
 * DW_OP_deref), and each register lies where they say (DW_CFA_expression 16:
 * register, length, DW_OP_breg19 offset; from 64 on an offset has two bytes).
 * "Signal frame": the caller's pc is where it goes on, and may be the first
 * instruction of a function.
 */
#if defined(__aarch64__)
        .text
        .globl  coro_backtrace_call
        .type   coro_backtrace_call, %function
        .p2align 4
coro_backtrace_call:
        .cfi_startproc
        .cfi_signal_frame
        hint    #34                     /* bti c */
        stp     x19, x30, [sp, #-16]!
        .cfi_def_cfa_offset 16
        .cfi_offset x19, -16
        .cfi_offset x30, -8
        mov     x19, x0
        mov     x0, x2
        .cfi_remember_state
        .cfi_escape 0x0f, 0x03, 0x83, 0x08, 0x06
        .cfi_escape 0x10, 30, 0x02, 0x83, 0x00
        .cfi_escape 0x10, 29, 0x02, 0x83, 0x10
        .cfi_escape 0x10, 19, 0x02, 0x83, 0x18
        .cfi_escape 0x10, 20, 0x02, 0x83, 0x20
        .cfi_escape 0x10, 21, 0x02, 0x83, 0x28
        .cfi_escape 0x10, 22, 0x02, 0x83, 0x30
        .cfi_escape 0x10, 23, 0x02, 0x83, 0x38
        .cfi_escape 0x10, 24, 0x03, 0x83, 0xc0, 0x00
        .cfi_escape 0x10, 25, 0x03, 0x83, 0xc8, 0x00
        .cfi_escape 0x10, 26, 0x03, 0x83, 0xd0, 0x00
        .cfi_escape 0x10, 27, 0x03, 0x83, 0xd8, 0x00
        .cfi_escape 0x10, 28, 0x03, 0x83, 0xe0, 0x00
        blr     x1
        nop
        .cfi_restore_state
        ldp     x19, x30, [sp], #16
        .cfi_restore x19
        .cfi_restore x30
        .cfi_def_cfa_offset 0
        ret
        .cfi_endproc
        .size   coro_backtrace_call, .-coro_backtrace_call
#endif
        .section .note.GNU-stack, "", %progbits
