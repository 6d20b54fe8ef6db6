// Shows that the thread sanitizer understands the OpenMP runtime: `clean` must give no report
// though threads hand values to each other at barriers, in critical sections and after loops;
// `race` must give one.
#include <cstdio>
#include <cstring>
#include <memory>
#include <vector>

namespace {

double Clean() {
  constexpr int kSize = 20000;
  std::vector<double> a(kSize, 1.0), b(kSize);
  std::vector<std::unique_ptr<int>> owned(64);
  double sum = 0;
  for (int repeat = 0; repeat < 20; ++repeat) {
#pragma omp parallel for schedule(dynamic, 1000)
    for (int i = 0; i < kSize; ++i) b[i] = 2 * a[i];
#pragma omp parallel
    {
#pragma omp for
      for (int i = 0; i < kSize; ++i) a[i] = b[kSize - 1 - i];
#pragma omp for
      for (int i = 0; i < 64; ++i) owned[i] = std::make_unique<int>(i);
#pragma omp single
      a[0] = *owned[63];
#pragma omp critical
      sum += a[0];
    }
#pragma omp parallel for reduction(+ : sum)
    for (int i = 0; i < kSize; ++i) sum += a[i];
  }
  return sum;
}

// The second loop reads what another thread may still be writing: `nowait` takes the barrier away.
double Race() {
  std::vector<double> a(64), b(64);
  for (int repeat = 0; repeat < 50; ++repeat) {
#pragma omp parallel
    {
#pragma omp for nowait
      for (int i = 0; i < 64; ++i) a[i] = i + repeat;
#pragma omp for nowait
      for (int i = 0; i < 64; ++i) b[i] = a[63 - i];
    }
  }
  return b[3];
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) return 2;
  std::printf("%g\n", std::strcmp(argv[1], "race") == 0 ? Race() : Clean());
  return 0;
}
