//! One bin of a recurrent layer, unit by unit, forward and backward: the part between the matrix products.
//!
//! Panels hold one column a sequence; `gates` are g pieces of h a column. On the way forward they come in as
//! `W x + b` and go out activated; on the way back they become the gradient by `W x + b`.
//!
//! Each is compiled for AVX2 and for any processor (see [`kernel_path`](kalmind_filter::kernel_path())); both give the same bits,
//! since nothing is fused.

use kalmind_filter::activation::{hyperbolic_tangent, logistic};
use kalmind_filter::kernel_path::compiled_for_each_path;

compiled_for_each_path! {
    /// A GRU forward: from `U h + c` in `recurrent`; keeps `U_n h + c_n` in `inner`; writes h' to `now`.
    pub(super) fn gru_forward(
        hidden: usize,
        gates: &mut [f32],
        recurrent: &[f32],
        inner: &mut [f32],
        past: &[f32],
        now: &mut [f32],
    ) = gru_forward_loops
}

compiled_for_each_path! {
    /// A GRU backward: `carry` comes in as the gradient by h' and goes out as that by h, less the part through
    /// `recurrent`, the gradient by `U h + c`.
    pub(super) fn gru_backward(
        hidden: usize,
        gates: &mut [f32],
        recurrent: &mut [f32],
        inner: &[f32],
        past: &[f32],
        carry: &mut [f32],
    ) = gru_backward_loops
}

compiled_for_each_path! {
    /// An LSTM forward: from `U h + c` in `recurrent`; keeps `tanh(k')` in `inner`; `memory` is k, and where k' is written
    /// to; writes h' to `now`.
    pub(super) fn lstm_forward(
        hidden: usize,
        gates: &mut [f32],
        recurrent: &[f32],
        inner: &mut [f32],
        memory: (&[f32], &mut [f32]),
        now: &mut [f32],
    ) = lstm_forward_loops
}

compiled_for_each_path! {
    /// An LSTM backward: `carry` comes in as the gradient by h' and goes out as zero; `memory_carry` as that by k' from
    /// later bins, and goes out as that by k. The gradient by h is all through the gates.
    pub(super) fn lstm_backward(
        hidden: usize,
        gates: &mut [f32],
        inner: &[f32],
        old: &[f32],
        carry: &mut [f32],
        memory_carry: &mut [f32],
    ) = lstm_backward_loops
}

#[expect(clippy::inline_always, reason = "the loop has to be compiled into each path")]
#[inline(always)]
fn gru_forward_loops<const FUSED: bool>(
    hidden: usize,
    gates: &mut [f32],
    recurrent: &[f32],
    inner: &mut [f32],
    past: &[f32],
    now: &mut [f32],
) {
    let columns = gates.chunks_exact_mut(3 * hidden).zip(recurrent.chunks_exact(3 * hidden));
    let states =
        inner.chunks_exact_mut(hidden).zip(past.chunks_exact(hidden)).zip(now.chunks_exact_mut(hidden));
    for ((gates, recurrent), ((inner, past), now)) in columns.zip(states) {
        let (reset_update, new) = gates.split_at_mut(2 * hidden);
        let (by_reset_update, by_new) = recurrent.split_at(2 * hidden);
        for (gate, by) in reset_update.iter_mut().zip(by_reset_update) {
            *gate = logistic(*gate + by);
        }
        let (reset, update) = reset_update.split_at(hidden);
        // lengths that the compiler knows, so that the loop becomes one of vectors
        let (reset, update, by_new) = (&reset[..hidden], &update[..hidden], &by_new[..hidden]);
        let new = &mut new[..hidden];
        inner.copy_from_slice(by_new);
        for unit in 0..hidden {
            new[unit] = hyperbolic_tangent(new[unit] + reset[unit] * by_new[unit]);
            now[unit] = new[unit] + update[unit] * (past[unit] - new[unit]);
        }
    }
}

#[expect(clippy::inline_always, reason = "the loop has to be compiled into each path")]
#[inline(always)]
fn gru_backward_loops<const FUSED: bool>(
    hidden: usize,
    gates: &mut [f32],
    recurrent: &mut [f32],
    inner: &[f32],
    past: &[f32],
    carry: &mut [f32],
) {
    let columns = gates.chunks_exact_mut(3 * hidden).zip(recurrent.chunks_exact_mut(3 * hidden));
    let states =
        inner.chunks_exact(hidden).zip(past.chunks_exact(hidden)).zip(carry.chunks_exact_mut(hidden));
    for ((gates, recurrent), ((inner, past), carry)) in columns.zip(states) {
        let (reset, rest) = gates.split_at_mut(hidden);
        let (update, new) = rest.split_at_mut(hidden);
        let (by_reset, rest) = recurrent.split_at_mut(hidden);
        let (by_update, by_new) = rest.split_at_mut(hidden);
        let (new, by_new) = (&mut new[..hidden], &mut by_new[..hidden]);
        for unit in 0..hidden {
            let (r, u, n) = (reset[unit], update[unit], new[unit]);
            let through_new = carry[unit] * (1.0 - u) * (1.0 - n * n);
            let through_reset = through_new * inner[unit] * r * (1.0 - r);
            let through_update = carry[unit] * (past[unit] - n) * u * (1.0 - u);
            carry[unit] *= u;
            reset[unit] = through_reset;
            by_reset[unit] = through_reset;
            update[unit] = through_update;
            by_update[unit] = through_update;
            new[unit] = through_new;
            by_new[unit] = through_new * r;
        }
    }
}

#[expect(clippy::inline_always, reason = "the loop has to be compiled into each path")]
#[inline(always)]
fn lstm_forward_loops<const FUSED: bool>(
    hidden: usize,
    gates: &mut [f32],
    recurrent: &[f32],
    inner: &mut [f32],
    (old, new): (&[f32], &mut [f32]),
    now: &mut [f32],
) {
    let columns = gates.chunks_exact_mut(4 * hidden).zip(recurrent.chunks_exact(4 * hidden));
    let states =
        inner.chunks_exact_mut(hidden).zip(old.chunks_exact(hidden)).zip(new.chunks_exact_mut(hidden));
    for (((gates, recurrent), ((inner, old), new)), now) in
        columns.zip(states).zip(now.chunks_exact_mut(hidden))
    {
        for (gate, by) in gates.iter_mut().zip(recurrent) {
            *gate += by;
        }
        let (input_forget, rest) = gates.split_at_mut(2 * hidden);
        let (cell, output) = rest.split_at_mut(hidden);
        for gates in [&mut *input_forget, &mut *output] {
            for gate in gates {
                *gate = logistic(*gate);
            }
        }
        let (input, forget) = input_forget.split_at(hidden);
        let (input, forget, output) = (&input[..hidden], &forget[..hidden], &output[..hidden]);
        for unit in 0..hidden {
            cell[unit] = hyperbolic_tangent(cell[unit]);
            new[unit] = forget[unit] * old[unit] + input[unit] * cell[unit];
            inner[unit] = hyperbolic_tangent(new[unit]);
            now[unit] = output[unit] * inner[unit];
        }
    }
}

#[expect(clippy::inline_always, reason = "the loop has to be compiled into each path")]
#[inline(always)]
fn lstm_backward_loops<const FUSED: bool>(
    hidden: usize,
    gates: &mut [f32],
    inner: &[f32],
    old: &[f32],
    carry: &mut [f32],
    memory_carry: &mut [f32],
) {
    let states = inner.chunks_exact(hidden).zip(old.chunks_exact(hidden));
    let carries = carry.chunks_exact_mut(hidden).zip(memory_carry.chunks_exact_mut(hidden));
    for ((gates, (inner, old)), (carry, memory)) in
        gates.chunks_exact_mut(4 * hidden).zip(states).zip(carries)
    {
        let (input, rest) = gates.split_at_mut(hidden);
        let (forget, rest) = rest.split_at_mut(hidden);
        let (cell, output) = rest.split_at_mut(hidden);
        let output = &mut output[..hidden];
        for unit in 0..hidden {
            let (i, f, g, o) = (input[unit], forget[unit], cell[unit], output[unit]);
            let through_memory = memory[unit] + carry[unit] * o * (1.0 - inner[unit] * inner[unit]);
            output[unit] = carry[unit] * inner[unit] * o * (1.0 - o);
            input[unit] = through_memory * g * i * (1.0 - i);
            forget[unit] = through_memory * old[unit] * f * (1.0 - f);
            cell[unit] = through_memory * i * (1.0 - g * g);
            memory[unit] = through_memory * f;
            carry[unit] = 0.0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kalmind_filter::kernel_path::KernelPath;

    const HIDDEN: usize = 13;
    const COLUMNS: usize = 3;

    fn numbers(gates: usize, seed: usize) -> Vec<f32> {
        (0..gates * HIDDEN * COLUMNS).map(|at| libm::sinf((at * at + 7 * at + seed) as f32)).collect()
    }

    /// Everything that a step forward and one backward write.
    fn step(path: KernelPath, lstm: bool) -> Vec<f32> {
        let gates = if lstm { 4 } else { 3 };
        let (mut panel, mut by_recurrent) = (numbers(gates, 1), numbers(gates, 2));
        let (mut inner, past, mut now, mut new) =
            (numbers(1, 3), numbers(1, 4), numbers(1, 5), numbers(1, 6));
        let (mut carry, mut memory) = (numbers(1, 7), numbers(1, 8));
        if lstm {
            let cells = (&past[..], &mut new[..]);
            lstm_forward(path, HIDDEN, &mut panel, &by_recurrent, &mut inner, cells, &mut now);
            lstm_backward(path, HIDDEN, &mut panel, &inner, &past, &mut carry, &mut memory);
        } else {
            gru_forward(path, HIDDEN, &mut panel, &by_recurrent, &mut inner, &past, &mut now);
            gru_backward(path, HIDDEN, &mut panel, &mut by_recurrent, &inner, &past, &mut carry);
        }
        [panel, by_recurrent, inner, now, new, carry, memory].concat()
    }

    #[test]
    fn every_compilation_gives_the_same_bits() {
        for lstm in [false, true] {
            let bits = |path| step(path, lstm).into_iter().map(f32::to_bits).collect::<Vec<_>>();
            assert_eq!(bits(KernelPath::detect()), bits(KernelPath::PORTABLE));
        }
    }
}
