"""From the catalog to a learning task: splits by cluster, judgements as arrays, training examples."""
