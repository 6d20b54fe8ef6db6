// Every op's definition, one function per file of this folder. AllOps() (model/ir/op.h) lists them.
#pragma once

#include "model/ir/op.h"

namespace shardwise {

// Arithmetic on every element.
OpDef AddOp();
OpDef AddScalarOp();
OpDef CompareOp();
OpDef ConvertOp();
OpDef CosOp();
OpDef DivOp();
OpDef ExpOp();
OpDef LogOp();
OpDef LogisticOp();
OpDef MaxOp();
OpDef MulOp();
OpDef NegOp();
OpDef RsqrtOp();
OpDef ScaleOp();
OpDef SelectOp();
OpDef SinOp();
OpDef SqrtOp();
OpDef SubOp();

// Contractions, reductions, indexing.
OpDef EinsumOp();
OpDef GatherRowsOp();
OpDef ReduceMaxOp();
OpDef ReduceSumOp();
OpDef ScatterAddRowsOp();

// Layout and constants.
OpDef BroadcastInDimOp();
OpDef ConcatenateOp();
OpDef CopyOp();
OpDef FullOp();
OpDef IotaOp();
OpDef ReshapeOp();
OpDef SliceOp();
OpDef StackOp();
OpDef StackSliceOp();
OpDef TransposeOp();

// Fused ops.
OpDef AdamWOp();
OpDef AttentionOp();
OpDef AttentionVjpOp();
OpDef CrossEntropyOp();
OpDef CrossEntropyVjpOp();
OpDef EmbeddingOp();
OpDef EmbeddingVjpOp();
OpDef QuantizedEinsumOp();
OpDef RmsNormOp();
OpDef RmsNormVjpOp();
OpDef RotaryOp();
OpDef SiluOp();

// Fused ops and indexing of the DeepSeek layers.
OpDef BlockVisibilityOp();
OpDef ClampOp();
OpDef CompressTokensOp();
OpDef CompressTokensVjpOp();
OpDef CompressedAttentionOp();
OpDef CompressedAttentionVjpOp();
OpDef GroupRowsOp();
OpDef GroupedMatmulOp();
OpDef GroupedMatmulDwOp();
OpDef IndexMaskOp();
OpDef IndexScoresOp();
OpDef IndexScoresVjpOp();
OpDef PermuteRowsOp();
OpDef RepeatIdsOp();
OpDef ScatterAddAlongOp();
OpDef SinkhornOp();
OpDef SinkhornVjpOp();
OpDef SqrtSoftplusOp();
OpDef SqrtSoftplusVjpOp();
OpDef TakeAlongOp();
OpDef TopKOp();
OpDef WindowMaskOp();

// Structure without work.
OpDef CallOp();
OpDef CheckpointNameOp();
OpDef LoopBoundaryOp();
OpDef ManualOp();
OpDef OptimizationBarrierOp();
OpDef ShardingConstraintOp();
OpDef ToDeviceOp();
OpDef ToHostOp();

// Communication.
OpDef AllGatherOp();
OpDef AllReduceOp();
OpDef AllToAllOp();
OpDef CollectivePermuteOp();
OpDef PvaryOp();
OpDef RaggedAllToAllOp();
OpDef ReduceScatterOp();
OpDef ShardSliceOp();

}  // namespace shardwise
