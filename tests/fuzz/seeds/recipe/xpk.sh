XPK="python3 xpk.py workload create"
ARGS+=" ici_fsdp_parallelism=-1"
ARGS="$ARGS remat_policy=custom decoder_layer_input=offload"
$XPK --cluster c --tpu-type=v5p-128 --num-slices 2 --command "export XLA_FLAGS='--a=1'; \
bash -c 'python3 -m maxtext.train base.yml $ARGS dataset_type=synthetic'"
cat <<'END' > job.yaml
apiVersion: v1
kind: Job
END
kubectl apply -f job.yaml | tee log 2>&1
