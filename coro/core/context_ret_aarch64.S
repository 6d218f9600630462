/*
 * void coro_context_switch(struct coro_context *from, struct coro_context *to)
 *
 *   x0  from: receives the stack pointer     x1  to: gives it
 *
 *   on a suspended stack, from its stack pointer upwards:
 *      0 x29   8 x30   16 x19-x28   96 d8-d15
 */
#if defined(__aarch64__) && defined(CORO_CONTEXT_RET)
        .text
        .globl  coro_context_switch
        .type   coro_context_switch, %function
        .p2align 4
coro_context_switch:
        .cfi_startproc
        hint    #34                     /* bti c */
        stp     x29, x30, [sp, #-160]!
        .cfi_def_cfa_offset 160
        .cfi_offset x29, -160
        .cfi_offset x30, -152
        stp     x19, x20, [sp, #16]
        stp     x21, x22, [sp, #32]
        stp     x23, x24, [sp, #48]
        stp     x25, x26, [sp, #64]
        stp     x27, x28, [sp, #80]
        stp     d8, d9, [sp, #96]
        stp     d10, d11, [sp, #112]
        stp     d12, d13, [sp, #128]
        stp     d14, d15, [sp, #144]
        mov     x9, sp
        str     x9, [x0]
        ldr     x9, [x1]
        mov     sp, x9
        ldp     x19, x20, [sp, #16]
        ldp     x21, x22, [sp, #32]
        ldp     x23, x24, [sp, #48]
        ldp     x25, x26, [sp, #64]
        ldp     x27, x28, [sp, #80]
        ldp     d8, d9, [sp, #96]
        ldp     d10, d11, [sp, #112]
        ldp     d12, d13, [sp, #128]
        ldp     d14, d15, [sp, #144]
        ldp     x29, x30, [sp], #160
        .cfi_restore x29
        .cfi_restore x30
        .cfi_def_cfa_offset 0
        ret
        .cfi_endproc
        .size   coro_context_switch, .-coro_context_switch
#endif
        .section .note.GNU-stack, "", %progbits
