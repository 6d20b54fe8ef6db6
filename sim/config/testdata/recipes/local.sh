# Starts the run on the spot, with the machine written by the AOT keys.
set -euo pipefail
cat > flags.txt <<'END'
--xla_tpu_scoped_vmem_limit_kib=1
END
export LIBTPU_INIT_ARGS="--xla_tpu_scoped_vmem_limit_kib=61440 --xla_tpu_bf16_emission_mode=NATIVE_EMISSION"
LIBTPU_INIT_ARGS+=" --xla_tpu_enable_sparse_core_collective_offload_all_reduce=true"
LIBTPU_INIT_ARGS="${LIBTPU_INIT_ARGS} --xla_tpu_use_single_sparse_core_for_all_gather_offload=true"
export M_MAX_TARGET_LENGTH=8192
ls > log.txt 2>&1 < /dev/null || true
DATA='dataset_type=synthetic'
python3 -m maxtext.trainers.pre_train.train base.yml compile_topology=tpu7x-128 \
  compile_topology_num_slices=1 model_name='llama3.1-70b' "per_device_batch_size"=2 \
  ici_fsdp_parallelism=-1 use_iota_embed=true remat_policy="cust"om context=device \
  query_proj=device key_proj=device value_proj=device qkv_proj=device mu_dtype=bfloat16 \
  sa_block_q=2048 sa_block_kv=2048 sa_block_kv_compute=2048 sa_block_q_dkv=2048 \
  sa_block_kv_dkv=2048 sa_block_kv_dkv_compute=2048 sa_q_layout=SEQ_MINOR sa_k_layout=SEQ_MINOR \
  sa_use_fused_bwd_kernel=true use_tokamax_splash=true attention=flash \
  mesh_axes="['diloco', 'data', 'stage', 'fsdp', 'fsdp_transpose', 'context', 'context_usp_ulysses', \
'context_autoregressive', 'tensor', 'tensor_sequence', 'expert', 'autoregressive']" \
  $DATA run_name=`whoami`-test # nothing else
