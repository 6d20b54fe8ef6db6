#!/bin/bash
set -e
export MODEL='llama3.1-70b' M_REMAT_POLICY=full
STEPS=${STEPS:-20}
FLAGS=(--xla_tpu_scoped_vmem_limit_kib=61440 "--xla_enable_async_all_gather=true")
export LIBTPU_INIT_ARGS="${FLAGS[*]} \
  --xla_tpu_dvfs_p_state=7"
for i in 1 2; do echo "$i"; done  # said twice
if [[ -n "$OUT" ]]; then OUT=$(date +%s); fi
python3 -m MaxText.train MaxText/configs/base.yml model_name="$MODEL" steps=$STEPS \
  run_name=${USER}_$(date) base_output_directory="gs://b/${OUT%/}" "per_device_batch_size=4"
