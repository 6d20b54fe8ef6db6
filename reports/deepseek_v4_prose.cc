// What docs/deepseek-v4.md says between its tables. No number of ours stands here: those are in the
// tables, which move.
#include "reports/deepseek_v4_study.h"

namespace shardwise {

std::string_view V4Prose::Introduction() {
  return R"(What a training step of DeepSeek-V4 costs here: Flash on four slices, what MaxText's own way to
build the model adds, and two steps beside what the TPU compiler says about them. Nobody has
published a measured run of this model on TPUs, so nothing here is checked against a clock; the
last part is the nearest there is.)";
}

std::string_view V4Prose::Slices() {
  return R"(DeepSeek-V4-Flash, 1 sequence of 4,096 tokens per device, `remat_policy=full`, `attention=flash
use_tokamax_splash=true`, float32 weights and moments, `sim.preset=official sim.v4.as_maxtext=false`. fsdp takes the
devices that the other axis leaves; `allow_split_physical_axes=true` lets an axis of 8 or 4 share a
side of the 16x16 torus of v6e. A question mark after fits: within 5 % of the limit, undecided.
What binds names the verdict on the step (collective-bound: at least 30 % of it waits for collectives)
and the resource that needs the largest part of the step even if everything else were free. MFU counts
model FLOPs over the published bf16 peak. Of what does not fit, times are those of a device with more
memory.)";
}

std::string_view V4Prose::AsMaxText() {
  return R"(`sim.v4.as_maxtext=true`, the default, builds in what MaxText does at a cost and with the same result;
`false` prices a better implementation. A step is the same function with and without (the mini model is run both
ways), but for roundings of the stream mixing.

* **Expert gradients are summed whole.** MaxText's region around the products of experts takes its
  weights gathered, so the transpose sums the whole gradient of a matrix over fsdp and every device
  then keeps its part: twice the bytes of a reduce-scatter. Off: weights are gathered inside the
  region, and their gradients reduce-scattered. On tpu7x the compiler finds the reduce-scatter by
  itself.
* **Layers in front of the scan keep everything.** The three layers with hash routing are unrolled
  outside the scan and escape the remat policy: their gathered expert weights and all intermediates
  live from the forward pass to the end of the backward pass. Off: the remat policy holds for them
  as well.
* **Attention computes every pair.** The kernel gets its mask as an array, so tiles that nobody sees
  are computed too: the causal half, everything outside the window, all compressed entries that the
  indexer did not select. Off: tiles without a visible pair are skipped.
* **Masks are arrays.** Every layer with compressed entries makes a mask of tokens x (tokens +
  entries) bytes and the tiles of it that the kernel reads, in each pass. It is also what exceeds the
  scoped VMEM of the compiler at 4,096 tokens (a warning of `simulate` says when).
* **Mixing residual streams uses the matrix unit.** Collapsing 4 streams and mixing them is written
  as a product per token, `[4,4] x [4,width]`, in bf16. The matrix unit pads the 4 to its own size.
  Off: a weighted sum on the vector unit, in float32.
* **The streams are constrained by the names of a single stream**, which puts the tensor axis on the 4
  streams and leaves the width whole. It matters with a tensor axis only.
* **Gathered `wo` is copied.** It is sharded on its minor dimension, so after each gather the whole
  array is brought into the order the products want: 4.29 GB per layer and pass for Flash on fsdp.
* **`o_a_proj` and the weights of the hyper-connections are replicated.** Their logical axes have no
  rule that leads to fsdp: every device holds all of them, with both moments, and their gradients are
  all-reduced.)";
}

std::string_view V4Prose::Compiler() {
  return R"(Made ahead of time with jax 0.12.0.1 and libtpu 0.0.51 from MaxText's own `train_compile`; the facts
are in `configs/compiler`, files that simulate the same step here. They are the compiler's estimates:
no hardware ran, and where a measured run existed (of dense models) its sum was within 7 % of it,
rather above. It has no time for Pallas kernels, SparseCore work and collectives. Differences are
(ours - compiler's) / compiler's.

How its kinds of instruction map to ours: `matmul_fusion` is matmul, with whatever is fused to the
product. `reduce_fusion` and `other:reduce` are reduction and norm. `copy`, `slice_update_fusion`
(reading and writing the stacks of the scan), `slice`, `dynamic-slice` and `pad` are layout; ours has
few of these, because slices of a stack are read in place. `loop_fusion` and all other instructions
are pointwise, beside ours of the optimizer and the loss. Sorts, gathers and scatters have no estimate
there; our indexing kernels stand below the sum. Of attention and the products of experts, which are
Pallas kernels, the FLOPs they declare are compared with those we charge for. Bytes of a collective
are the larger of what goes in and what comes out, of one device.)";
}

std::string_view V4Prose::Gaps(std::string_view id) {
  constexpr std::string_view kV5p = R"(Where the largest differences come from:

* **layout**: 1.34 s of the compiler's are `copy`, most of it the relayout of gathered `wo`, 14.5 ms
  for each of the 4.29 GB arrays, once in every layer and pass. That one is modelled, and its price is
  taken from this very compilation. The rest are transposes around the attention kernels and reads and
  writes of the scan's stacks, which are free here.
* **reduction, norm** and **pointwise**: the compiler runs 35,000 loop and reduce fusions and charges at
  least 1.2 us for the smallest loop; it sums attention's gradient of the queries over three copies
  that the kernel writes, and builds and reduces the indexer's mask as an array. Here the small arrays
  of the hyper-connections fuse into few kernels.
* **matmul** holds the one-hot lookup of the embedding there (12.5 ms); here it is an indexing kernel.
* **temporaries**: both keep the gathered expert weights of the three layers in front of the scan, 9
  times 4.29 GB, from the forward to the backward pass; the compiler, to fit, gathers one of the nine
  again by itself.
* **all_gather**: the compiler's bytes hold the mask of the one-hot lookup (16.9 GB) and one expert
  weight a second time. It executes more of them: `wq_b` once more in the backward pass; the record
  does not list the small ones one by one.
* **all_reduce, reduce_scatter**: the compiler writes every reduce-scatter on this torus as an
  all-reduce and a slice, and sums small gradients together; here each has its own, and dense
  gradients are reduce-scattered.
* **products of experts**: nothing inside a region is kept here, so the layers in front of the scan
  compute their products a second time, although they keep everything else: 9 executions.
* **attention**: the compiler's kernel fills the last tile of keys, 128 wide, for 8 entries.)";
  constexpr std::string_view kTpu7x = R"(Where the largest differences come from:

* **products of experts**: the kernels declare the 98,304 rows of the buffer that holds whatever
  routing sends; 24,576 arrive when experts are evenly loaded, and rows that did not arrive are not
  computed. Ours are the rows that arrive.
* **ragged_all_to_all**: the same. The compiler's bytes count both buffers, that of the even share and
  that of the worst case; ours the rows that are sent.
* **all_reduce and reduce_scatter over fsdp**: the same sums of expert gradients. MaxText asks for an
  all-reduce; on this chip the compiler makes it a reduce-scatter on the SparseCores. Here it stays
  what it is, at twice the bytes on the links (`sim.v4.as_maxtext=false` has the reduce-scatter).
* **all_reduce and reduce_scatter over fsdp+expert**: bytes of the two together nearly agree; the
  compiler sums more gradients whole, and joins small ones into one execution.
* **all_gather over fsdp+expert**: the compiler gathers `wq_b` and `o_b_proj` once more in the backward
  pass.
* **reduction, norm**: among them sums in float32 over the streams, the sum of attention's gradient of
  the queries over the three copies the kernel writes (8.9 ms per layer), and the indexer's mask as an
  array, reduced over the entries.
* **pointwise**: every elementwise step on the path of the experts runs over the worst-case buffer, of
  which an even load fills a quarter; 280 ms are broadcasts, which are never stored here.
* **layout**: a fifth of the forward pass are relayouts of the worst-case buffer; then transposes around
  the attention kernels.
* **temporaries**: copies and masks that are alive at the peak. Worst-case buffers are held here too.)";
  if (id == "V4-Flash-v5p-256") return kV5p;
  if (id == "V4-Flash40-tpu7x-128") return kTpu7x;
  return "";
}

}  // namespace shardwise
