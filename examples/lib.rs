//! Small programs that show Larder at work; see the folder `examples`.
