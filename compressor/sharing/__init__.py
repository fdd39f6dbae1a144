"""Weight sharing: a codebook per layer by k-means, training that moves its centroids (Han et al. 2016, section 3)."""
