#include "validate/least_squares.hpp"

#include <cmath>

#include "tests/catch.hpp"

using namespace railcast;
using Eigen::MatrixXd;
using Eigen::VectorXd;

namespace {

// Waves without a common period: a design of full rank without random numbers.
MatrixXd design(int rows, int columns) {
  MatrixXd a(rows, columns);
  for (int i = 0; i < rows; ++i)
    for (int j = 0; j < columns; ++j) a(i, j) = 1.5 + std::sin(0.37 * (i + 1) * (j + 1) + j);
  return a;
}

}  // namespace

TEST_CASE("non-negative least squares meets its conditions of optimality", "[validate][least_squares]") {
  const MatrixXd a = design(60, 7);
  VectorXd wanted(7);
  wanted << 1, -2, 0.5, 0, 3, -0.1, 2;
  const VectorXd b = a * wanted, x = non_negative(a, b), pull = a.transpose() * (b - a * x);
  CHECK(x.minCoeff() >= 0);
  CHECK(pull.maxCoeff() < 1e-6 * b.norm());
  CHECK(x.cwiseProduct(pull).cwiseAbs().maxCoeff() < 1e-6 * b.norm());
}

TEST_CASE("what lies inside is found exactly", "[validate][least_squares]") {
  const MatrixXd a = design(40, 4);
  VectorXd wanted(4);
  wanted << 2, 0, 0.25, 7;
  CHECK((non_negative(a, a * wanted) - wanted).cwiseAbs().maxCoeff() < 1e-6);
}

TEST_CASE("a row that is three times off does not move the prices", "[validate][least_squares]") {
  const MatrixXd a = design(40, 3);
  VectorXd wanted(3);
  wanted << 2, 1, 4;
  VectorXd b = a * wanted;
  b(7) *= 3, b(20) /= 3;
  CHECK((robust_relative(a, b, 0.08) - wanted).cwiseAbs().maxCoeff() < 0.15);
}
