"""What the fast backend is made of: Winograd convolution, compiled loops, threads and buffers."""
